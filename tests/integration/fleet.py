"""A coordinator, its sink and agents in a town, as their users run them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from stages.cli.fleettop import look
from stages.fleet.state import State
from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.stored import documents
from tests.integration.workers import Crew, Worker, until

#: Each test has a port of its own: agents come to 127.0.0.1 inside the town.
PORTS = iter(range(46_001, 46_100))


class Ground:
    """A coordinator, its sink, and agents, in one folder."""

    def __init__(self, town: Simnet, crew: Crew, folder: Path, *more: str, timeout: float = 6.0) -> None:
        """`more`: words of the coordinator's."""
        folder.mkdir(exist_ok=True)
        self.town, self.crew, self.folder = town, crew, folder
        self.port = next(PORTS)
        self.url = f"https://127.0.0.1:{self.port}"
        self.store = f"sqlite:{folder}/town.db"
        plans.prepare(town, folder, self.store)
        (folder / "allow").write_text("10.0.0.0/8\n")
        self.say("fleet", "init", "--host", "127.0.0.1")
        words = ("--bus", self.store, "--listen", f"127.0.0.1:{self.port}", "--agent-timeout", f"{timeout:g}", *more)
        self.coordinator = crew.hire(Worker(town, folder, "coordinator", *words))
        self.sink = crew.hire(Worker(town, folder, "sink", "--bus", self.store, "--store", self.store))
        for worker in (self.coordinator, self.sink):
            worker.start()
        crew.all_ready([self.coordinator, self.sink])

    def say(self, *words: str) -> str:
        """A command of the operator's; what it prints."""
        out = self.folder / "said"
        with out.open("wb") as file:
            worker = Worker(self.town, self.folder, *words, name="operator", metrics=False)
            assert worker.start(stdout=file).wait() == 0, worker.tail()
        return out.read_text()

    def agent(self, alias: str, *words: str, rate: int = 2_000) -> Worker:
        """Enrolled and started."""
        token = self.say("fleet", "enrol", alias).strip()
        more = ("--folder", alias, "--max-rate", str(rate), "--allowlist-file", "allow", *words)
        env = {"LONGLINE_AGENT_TOKEN": token}
        agent = Worker(self.town, self.folder, "agent", self.url, *more, name=alias, metrics=False, env=env)
        return self.crew.hire(agent).start()

    def submit(self, scan: str = "town", *sections: str, **more: Any) -> None:
        """`sections`: more of them, as TOML."""
        settings = {
            "targets": list(self.town.spec.targets), "target_ports": ",".join(map(str, self.town.spec.ports)),
            "scan": scan, "cooldown_time": 2, **more,
        }  # fmt: skip
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        (self.folder / f"{scan}.toml").write_text("\n".join(["[scanner]", *lines, *sections]))
        self.say("campaign", "submit", f"{scan}.toml")

    def seen(self) -> dict[str, Any]:
        """What `longline fleet top --json` prints."""
        with closing(State(self.folder / "fleet.db", make=False)) as state:
            return look(state, time.time(), "alias")

    def scan(self, name: str = "town") -> dict[str, Any]:
        return next((scan for scan in self.seen()["scans"] if scan["scan"] == name), {"state": "", "done": 0})

    def complete(self, seconds: float = 120) -> dict[str, Any]:
        until(lambda: self.scan()["state"] == "complete", "the scan is complete", seconds)
        return self.scan()

    def trace(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.say("fleet", "trace", "--json").splitlines()]

    def assert_true(self) -> None:
        """All that is open is stored, and nothing else."""
        there = {(ip, port) for ip, port, _ in self.town.truth.services() if port in self.town.spec.ports}

        def stored() -> set[tuple[str, int]]:
            return {(s["ip"], s["port"]) for s in documents(self.town, self.store, Collection.SERVICES)}

        until(lambda: stored() >= there, "everything is stored")
        assert stored() == there

    def end(self, agents: Sequence[Worker]) -> None:
        for agent in agents:
            assert agent.stop() == 143, agent.tail()
            assert "Traceback" not in agent.text
        for worker in (self.coordinator, self.sink):
            assert worker.stop() == 143, worker.tail()
            assert "Traceback" not in worker.text
