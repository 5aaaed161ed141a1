"""A coordinator without sockets, over a log in memory; agents whose scans find what `truth` says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from stages.core.bus.base import Output, Publisher, Topics
from stages.core.errors import HostError, Unavailable
from stages.core.metrics import Metrics
from stages.core.netset import NetSet
from stages.fleet import ca, messages
from stages.fleet.coordinator import Answer, Coordinator
from stages.fleet.ledger import Ledger
from stages.fleet.messages import PROTOCOL, Slice
from stages.fleet.metrics import FleetMetrics
from stages.fleet.state import State
from stages.fleet.work import Strict, Work
from tests.fleet.material import DIGEST, NOW, Straight, hit

TOPICS = Topics("t")


class Logbook:
    """A publisher that remembers; `broken` it cannot be reached."""

    ready = True

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.broken = False

    async def start(self) -> None: ...

    async def publish(self, outputs: list[Output]) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise Unavailable("the log is away")
        self.outputs += outputs

    async def close(self) -> None: ...


class House:
    """`clock` is in hand: `now`."""

    def __init__(self, folder: Path, authority: ca.Authority) -> None:
        self.now = NOW
        self.lives = 0
        self.away = False
        self.under_way = 0  #: requests that are being answered
        self.state = State(folder / "fleet.db")
        self.authority = authority
        self.log = Logbook()
        self.metrics = Metrics()
        self._fleet_metrics = FleetMetrics(self.metrics)
        self.coordinator = self._new()

    def _new(self) -> Coordinator:
        publisher: Publisher = self.log  # type: ignore[assignment]
        return Coordinator(
            self.state, self.authority, Ledger(timeout=60.0, slice_seconds=20.0), publisher, TOPICS,
            layout=lambda work: Straight(), clock=lambda: self.now, metrics=self._fleet_metrics,
        )  # fmt: skip

    async def restart(self) -> None:
        """As after a SIGKILL: what is not in the file is gone, and answers under way are lost."""
        self.lives += 1
        self.away = True
        while self.under_way:
            await asyncio.sleep(0)  # what they have handed to the file before the end is in it
        self.coordinator = self._new()
        await self.coordinator.start()
        self.away = False

    async def begin(self, *aliases: str, work: Work | None = None) -> None:
        """Started, these agents enrolled (their serial numbers are their names), and a scan submitted."""
        for alias in aliases:
            self.enrolled(alias)
        await self.coordinator.start()
        if work is not None:
            self.state.ask("submit", work.model_dump(mode="json"))
        await self.coordinator.tick()

    def enrolled(self, alias: str) -> None:
        self.state.file.write_sync(
            lambda c: c.execute(
                "INSERT INTO fleet_certificates VALUES (?, ?, ?, ?, NULL)", (alias, alias, self.now, self.now + 1e9)
            )
        )

    async def say(self, alias: str | None, path: str, message: Strict | bytes, token: str = "") -> Answer:
        body = message if isinstance(message, bytes) else messages.dump(message)
        return await self.coordinator.handle(f"/v1/{path}", alias, token, body)

    def hits(self) -> list[bytes]:
        return [output.value for output in self.log.outputs if output.topic == TOPICS.hits]


class InHouse:
    """`agent.Way` to a House; `fault` may raise before, or after, what it asks for."""

    def __init__(self, house: House, alias: str, fault: Callable[[], str] = lambda: "") -> None:
        self.url = "https://house:46001"
        self.house, self.alias, self.fault = house, alias, fault

    async def post(self, path: str, body: bytes, token: str = "") -> tuple[int, bytes]:
        await asyncio.sleep(0)
        how = self.fault()
        if how == "before" or self.house.away:
            raise Unavailable("no way")
        house, life = self.house, self.house.lives
        house.under_way += 1
        try:
            answer = await house.coordinator.handle(path, self.alias, token, body)
        finally:
            house.under_way -= 1
        if how == "after" or life != house.lives:
            raise Unavailable("the answer was lost")
        return answer.status, answer.body

    async def close(self) -> None: ...


class Scans:
    """`agent.Scanner`: a target answers if `truth` says so."""

    def __init__(self, alias: str, truth: Callable[[int], bool], *, batch: int = 16, digest: str = DIGEST) -> None:
        self.alias, self.truth, self.batch, self._digest = alias, truth, batch, digest
        self.probed: list[int] = []
        self.rates: list[float] = []
        self.hold: asyncio.Event | None = None
        self.cooldown: asyncio.Event | None = None  #: scans that have sent all listen until it is set
        self.listening = 0
        self.most_sending = self.sending = 0
        self.fails = False
        self.lingers = 0  #: batches that still come after it was told to stop

    def digest(self, work: Work) -> str:
        return self._digest

    def scan(
        self, slice: Slice, *, rate: float, leave_alone: NetSet, publisher: Publisher, checkpoint: Path
    ) -> SliceOf:
        self.rates.append(rate)
        return SliceOf(self, slice, leave_alone, publisher)


class SliceOf:
    def __init__(self, scans: Scans, slice: Slice, leave_alone: NetSet, publisher: Publisher) -> None:
        self._scans, self._slice, self._leave_alone, self._publisher = scans, slice, leave_alone, publisher
        self.position, self.sent, self.rate = slice.first, 0, 1.0
        self.sending = True
        self._stopped = False
        self._besides = NetSet()

    def leave_alone(self, networks: NetSet) -> None:
        self._besides = networks

    def stop(self) -> None:
        self._stopped = True
        if self._scans.hold is not None:
            self._scans.hold.set()

    def halt(self) -> None:
        self.stop()

    async def run(self) -> None:
        scans = self._scans
        scans.sending += 1
        scans.most_sending = max(scans.most_sending, scans.sending)
        await self._send()
        scans.sending -= 1
        self.sending = False
        if scans.cooldown is not None:
            scans.listening += 1
            await scans.cooldown.wait()

    async def _send(self) -> None:
        while self.position < self._slice.last and (not self._stopped or self._scans.lingers):
            self._scans.lingers -= self._stopped
            upto = min(self.position + self._scans.batch, self._slice.last)
            found = []
            for at in range(self.position, upto):
                one = hit(at, scan=self._slice.work.scan, vantage=self._scans.alias)
                if one.ip in self._leave_alone or one.ip in self._besides:
                    continue
                self.sent += 1
                self._scans.probed.append(at)
                if self._scans.truth(at):
                    found.append(Output("t.hits.v1", b"", one.dump()))
            await self._publisher.publish(found)
            self.position = upto
            await asyncio.sleep(0)
            if self._scans.hold is not None:
                await self._scans.hold.wait()
            if self._scans.fails:
                raise HostError("the interface went down")


async def leased(house: House, alias: str) -> Slice:
    """What it gets, begun."""
    lease = messages.parse(messages.Lease, (await house.say(alias, "lease", messages.Ask(protocol=PROTOCOL))).body)
    assert lease.slice is not None
    assert (await house.say(alias, "begin", messages.Begin(token=lease.slice.token, digest=DIGEST))).status == 200
    return lease.slice
