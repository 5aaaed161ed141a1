"""A campaign in a town, as its users run it."""

from __future__ import annotations

import itertools
import json
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from stages.campaign.journal import Journal, TurnRow
from stages.core.bus.base import Topics
from stages.core.bus.urls import look
from stages.core.events import Event, parse
from stages.core.settings import BusSettings
from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration.stored import documents
from tests.integration.workers import Crew, Worker, until


def controls(town: Simnet) -> list[str]:
    """Some that answer."""
    return [f"{ip}:{port}" for ip, port, _ in list(town.truth.services())[:8]]


class Field:
    """One campaign, its journal and its store, in one folder."""

    def __init__(self, town: Simnet, crew: Crew, folder: Path, *words: str, **more: Any) -> None:
        """`more`: what stands in [campaign] besides; `scanner`: in [scanner]. `words` of the conductor's."""
        self.town, self.crew, self.folder = town, crew, folder
        self.store = f"sqlite:{folder}/town.db"
        scanner = {
            "targets": list(town.spec.targets), "target_ports": ",".join(map(str, town.spec.ports)),
            "cooldown_time": 1, "rate": 20_000, **more.pop("scanner", {}),
        }  # fmt: skip
        campaign = {"name": "watch", "spread": 0.0, "sample": 50, "grabs": [], **more}
        lines = ["[campaign]", *_lines(campaign), "", "[scanner]", *_lines(scanner), ""]
        (folder / "campaign.toml").write_text("\n".join(lines))
        run = ("campaign", "run", "campaign.toml", "--store", self.store, *words)
        self.conductor = crew.hire(Worker(town, folder, *run, name="conductor"))

    def say(self, *words: str) -> str:
        """A command of the operator's; what it prints."""
        out = self.folder / "said"
        with out.open("wb") as file:
            worker = Worker(self.town, self.folder, "campaign", *words, name="operator", metrics=False)
            assert worker.start(stdout=file).wait() == 0, worker.tail()
        return out.read_text()

    def order(self, *words: str) -> None:
        """Another command of the operator's."""
        worker = Worker(self.town, self.folder, *words, name="operator", metrics=False)
        assert worker.start().wait() == 0, worker.tail()

    def checkpoint(self) -> int:
        """Where the scan stands that runs or waits; 0: there is none."""
        with suppress(FileNotFoundError):
            for file in (self.folder / "campaigns" / "watch").glob("*.checkpoint"):
                return int(json.loads(file.read_text())["position"])
        return 0

    def asked(self, what: str) -> list[dict[str, Any]]:
        """What `longline query` knows of it."""
        out = self.folder / "asked"
        words = ("query", what, "--store", self.store, "--json", "--limit", "0")
        with out.open("wb") as file:
            worker = Worker(self.town, self.folder, *words, name="query", metrics=False)
            assert worker.start(stdout=file).wait() == 0, worker.tail()
        return [json.loads(line) for line in out.read_text().splitlines()]

    async def told(self) -> list[Event]:
        """The events on the log."""
        bus, topic = BusSettings(url=self.store), Topics().events
        return [parse(line) async for chunk in look(self.store, topic, bus) for line in chunk.lines]

    def status(self) -> dict[str, Any]:
        """What `longline campaign status --json` prints."""
        row: dict[str, Any] = json.loads(self.say("status", "--json").splitlines()[0])
        return row

    def turns(self) -> list[TurnRow]:
        if not (self.folder / "campaign.db").is_file():
            return []
        with closing(Journal(self.folder / "campaign.db", make=False)) as journal:
            return journal.turns("watch")

    def complete(self, kind: str) -> int:
        """How many sweeps of this kind are."""
        return sum(turn.lane.kind == kind and turn.how == "complete" for turn in self.turns())

    def until_complete(self, kind: str, more: int = 1, seconds: float = 120) -> None:
        """Until so many more sweeps of this kind are, than there were."""
        wanted = self.complete(kind) + more
        until(
            lambda: self.complete(kind) >= wanted or not self.conductor.running, f"{more} more {kind} sweeps", seconds
        )
        assert self.conductor.running, self.conductor.tail()

    def scans(self) -> dict[str, dict[str, Any]]:
        return {scan["_id"]: scan for scan in documents(self.town, self.store, Collection.SCANS)}

    def hits(self, scan: str) -> set[tuple[str, int]]:
        return {
            (hit["ip"], hit["port"])
            for hit in documents(self.town, self.store, Collection.HITS)
            if hit["scan"] == scan or hit["scan"].startswith(f"{scan}-")
        }

    def assert_nothing_twice_at_once(self) -> None:
        for vantage in {turn.lane.vantage for turn in self.turns()}:
            self._assert_alone(vantage)

    def _assert_alone(self, vantage: str) -> None:
        found = (turn for turn in self.turns() if turn.ended is not None and turn.lane.vantage == vantage)
        turns = sorted(found, key=lambda turn: turn.began)
        for one, other in itertools.pairwise(turns):
            assert one.ended is not None
            assert one.ended <= other.began + 1.0, (one, other)  # a conductor that was killed was seen a second before


def _lines(values: dict[str, Any]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]
