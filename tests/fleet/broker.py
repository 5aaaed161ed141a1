"""A log between a House and its agents: in memory with all faults, or in a SQLite file."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from pathlib import Path

from stages.core.bus.base import Topics
from stages.core.bus.memory import MemoryBus
from stages.core.bus.sqlite import SqlitePublisher, SqliteSource, SqliteTail
from stages.fleet import ca
from stages.fleet.coordinator import Answer
from stages.fleet.envelope import Signer
from stages.fleet.logserver import LogServer
from stages.fleet.logway import LogWay
from tests.fleet.house import House
from tests.fleet.material import NOW

TOPICS = Topics("f")


def identity_of(house: House, folder: Path, alias: str) -> tuple[ca.Identity, str]:
    """(files, serial) of an agent that has enrolled with the house."""
    identity = ca.Identity(folder)
    key, request = ca.request(alias)
    moment = min(dt.datetime.fromtimestamp(NOW, dt.UTC), dt.datetime.now(dt.UTC))
    pem, serial, ends = house.authority.agent(request, alias, moment)
    for path, content in ((identity.key, key), (identity.certificate, pem), (identity.authority, house.authority.pem)):
        ca.write_private(path, content)
    house.state.file.write_sync(
        lambda c: c.execute("INSERT INTO fleet_certificates VALUES (?, ?, ?, ?, NULL)", (serial, alias, NOW, ends))
    )
    house.coordinator._good[serial] = alias  # as the next tick finds it
    return identity, serial


class Broker:
    """`serve` begins the coordinator's side; `file`: of the log, None: in memory."""

    def __init__(self, house: House, folder: Path, file: Path | None = None) -> None:
        self.house, self.folder, self.file = house, folder, file
        self.bus = MemoryBus(partitions=3)
        self.signer = Signer(ca.Identity(house.authority.folder))
        self.serials: dict[str, str] = {}
        self.ways: list[LogWay] = []
        self._serving: asyncio.Task[None] | None = None

    def server(self) -> LogServer:
        async def handle(path: str, serial: str | None, token: str, body: bytes) -> Answer:
            return await self.house.coordinator.handle(path, serial, token, body)

        topics = (TOPICS.agents, TOPICS.claims)
        self.source = self.bus.source(topics, "c") if self.file is None else SqliteSource(self.file, topics, "c")
        return LogServer(
            handle, self.source, self.bus.publisher() if self.file is None else SqlitePublisher(self.file), TOPICS,
            self.house.state, self.signer, self.house.authority.pem, clock=lambda: self.house.now,
            metrics=self.house._fleet_metrics,
        )  # fmt: skip

    def serve(self) -> None:
        self._serving = asyncio.create_task(self.server().run())

    async def kill(self) -> None:
        """The coordinator's side ends where it is, and commits nothing more."""
        assert self._serving is not None
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)

    def enrolled(self, alias: str) -> Signer:
        folder = self.folder / f"{alias}.keys"
        if alias not in self.serials:
            _, self.serials[alias] = identity_of(self.house, folder, alias)
        return Signer(ca.Identity(folder))

    def way(self, alias: str | None, authority: bytes | None = None) -> LogWay:
        """Of an agent; of a stranger who trusts `authority`."""
        box = secrets.token_hex(16)
        signer = None if alias is None else self.enrolled(alias)
        if self.file is None:
            publisher, tail = self.bus.publisher(), self.bus.tail(TOPICS.work, box.encode())
        else:
            publisher, tail = SqlitePublisher(self.file), SqliteTail(self.file, TOPICS.work)  # type: ignore[assignment]
        way = LogWay(
            "kafka://house:9093/f", publisher, tail, TOPICS, box, signer=signer,
            authority=authority if alias is None else self.house.authority.pem, clock=lambda: self.house.now,
        )  # fmt: skip
        self.ways.append(way)
        return way

    async def close(self) -> None:
        for way in self.ways:
            await way.close()
        if self._serving is not None:
            await self.kill()

    def flawed(self, why: str) -> float:
        value = self.house.metrics.registry.get_sample_value("longline_fleet_envelopes_refused_total", {"why": why})
        return value or 0.0
