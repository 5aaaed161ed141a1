"""A coordinator, its sink and agents in a town, as their users run them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.cli.fleettop import look
from stages.fleet.state import State
from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.stored import documents
from tests.integration.workers import Crew, Worker, until
from tests.servers.site import Site

#: Each test has a port of its own: agents come to 127.0.0.1 inside the town.
PORTS = iter(range(46_001, 46_100))

#: What agents are asked to grab, as `plans.BANNERS` and `plans.TLS` ask; and the words of one that may.
ASKED = ('[bannergrab]\ndata = "http-req"\nwait = 1', "[tlsgrab]")
MAY = ("--grab", "banner,tls", "--per-host", "4", "--per-prefix", "0")


@dataclass(frozen=True)
class ByLog:
    """How a coordinator and its agents reach a broker: a URL, and the environment of each side."""

    url: str
    coordinator: Mapping[str, str]
    agent: Mapping[str, str]


class Ground:
    """A coordinator, its sink, and agents, in one folder."""

    def __init__(
        self,
        town: Simnet,
        crew: Crew,
        folder: Path,
        *more: str,
        timeout: float = 6.0,
        hosts: Sequence[str] = (),
        by: ByLog | None = None,
    ) -> None:
        """`more`: words of the coordinator's. `hosts`: its addresses, where agents come from elsewhere. `by`: agents
        come by that log, and by nothing else."""
        folder.mkdir(exist_ok=True)
        self.town, self.crew, self.folder = town, crew, folder
        self.port = next(PORTS)
        self.by = by
        self.url = f"https://127.0.0.1:{self.port}" if by is None else by.url
        self.store = f"sqlite:{folder}/town.db"
        plans.prepare(town, folder, self.store)
        (folder / "allow").write_text("10.0.0.0/8\n")
        named = [word for host in ("127.0.0.1", *hosts) for word in ("--host", host)]
        self.say("fleet", "init", *named)
        listen = f"{'0.0.0.0' if hosts else '127.0.0.1'}:{self.port}"
        ways = ("--listen", listen) if by is None else ("--listen", "none", "--work", by.url)
        self._words = ("coordinator", "--bus", self.store, *ways, "--agent-timeout", f"{timeout:g}", *more)
        self.coordinator = self.another()
        self.sink = crew.hire(Worker(town, folder, "sink", "--bus", self.store, "--store", self.store))
        for worker in (self.coordinator, self.sink):
            worker.start()
        crew.all_ready([self.coordinator, self.sink])

    def another(self, name: str = "coordinator") -> Worker:
        """A coordinator of the same state, not started."""
        env = None if self.by is None else self.by.coordinator
        return self.crew.hire(Worker(self.town, self.folder, *self._words, name=name, env=env))

    def say(self, *words: str) -> str:
        """A command of the operator's, or of an agent's; what it prints."""
        out = self.folder / "said"
        with out.open("wb") as file:
            env = None if self.by is None else self.by.agent
            worker = Worker(self.town, self.folder, *words, name="operator", metrics=False, env=env)
            assert worker.start(stdout=file).wait() == 0, worker.tail()
        return out.read_text()

    def agent(self, alias: str, *words: str, rate: int = 2_000, there: Site | None = None) -> Worker:
        """Enrolled and started, on the near side or at a site."""
        token = self.say("fleet", "enrol", alias).strip()
        url = self.url if there is None else f"https://{there.home}:{self.port}"
        more = ("--folder", alias, "--max-rate", str(rate), "--allowlist-file", "allow", *words)
        env = {"LONGLINE_AGENT_TOKEN": token, **({} if self.by is None else self.by.agent)}
        wrap = list if there is None else there.wrap
        agent = Worker(self.town, self.folder, "agent", url, *more, name=alias, metrics=False, env=env, wrap=wrap)
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
