"""The grabs of a slice: bannergrab and tlsgrab in the agent's own process, behind the slice's scan.

    scan --hits--> spool
           '----> log in memory --> bannergrab, tlsgrab --> spool

A position of the scan is done when the conversations with all that was found before it are in the spool: each time the
scan has come further, how long the log is then is remembered, and the position counts when every grab has committed
that much. Told to stop, grabs begin nothing more and cut what does not end by itself within seconds; what is left is
done again by whoever has the rest of the slice.

Of the slices under way one grabs at a time, in their order: so its bounds are those of the whole agent. What another
finds meanwhile waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from stages.bannergrab.settings import BannergrabSettings
from stages.cli.assembly import Grounds, bannergrab_runner, limits_of, tlsgrab_runner
from stages.core.bus.base import Output, Partition, Publisher, Source, Topics
from stages.core.bus.memory import MemoryBus
from stages.core.descriptors import RESERVED, fit_concurrency, raise_descriptor_limit
from stages.core.metrics import Metrics
from stages.core.orders import Order, Standing
from stages.core.policy import Policy
from stages.core.runner import SETTLE_SHARE, Runner
from stages.core.settings import PolitenessSettings, RunnerSettings
from stages.fleet.work import PAYLOADS, BannerGrab, TlsGrab, Work
from stages.proto import ready
from stages.tlsgrab.settings import TlsgrabSettings

#: Hits that wait for the grabs of one slice, at most: some 20 MB. At the bound the scan waits.
MAX_WAITING: Final = 20_000

#: Seconds that conversations may take to their end when the slice is told to stop: an order holds within five, and it
#: takes most of them to come here.
STOP_SECONDS: Final = 1.0

#: Seconds between two looks whether all is grabbed.
LOOK: Final = 0.05

#: Its only partition: the order of the scan is the order of the log.
_ONLY: Final = 0

#: For the runners: before it is their turn, and when the slice is halted.
_NOT_YET: Final = Standing(known=False)
HALTED: Final = Standing((Order("stop", "all"),))


@dataclass(frozen=True, slots=True)
class Grabbing:
    """How hard this agent grabs, whatever it grabs."""

    concurrent: int  #: connections open at once, of all grabs together
    politeness: PolitenessSettings
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  #: whose it is grabs, and nobody else does


def banner_settings(asked: BannerGrab, concurrent: int) -> BannergrabSettings:
    """bannergrab's own, of what was asked for."""
    payload = asked.say in PAYLOADS
    return BannergrabSettings(
        concurrent=concurrent,
        ports=asked.ports,
        # Ours, wherever we stand: a name from elsewhere is never looked for among the files of this machine.
        data=str(ready.shipped(asked.say)) if payload else None,
        wait=asked.wait if payload else 0.0,
        talk=None if payload else asked.say,
        conn_timeout=asked.conn_timeout,
        read_timeout=asked.read_timeout,
        idle_timeout=asked.idle_timeout,
        total_timeout=asked.total_timeout,
        max_bytes=asked.max_bytes,
    )


def tls_settings(asked: TlsGrab, concurrent: int) -> TlsgrabSettings:
    """tlsgrab's own, of what was asked for."""
    return TlsgrabSettings(
        concurrent=concurrent,
        ports=asked.ports,
        mode=asked.mode,
        starttls=asked.starttls,
        conn_timeout=asked.conn_timeout,
        handshake_timeout=asked.handshake_timeout,
        max_connections=asked.max_connections,
        max_bytes=asked.max_bytes,
    )


class SliceGrabs:
    """The publisher of a slice's scan, which has what it finds grabbed too. `start` it, and `close` it."""

    ready = True

    def __init__(
        self,
        work: Work,
        how: Grabbing,
        policy: Policy,
        publisher: Publisher,
        topics: Topics,
        *,
        first: int,
        on_failure: Callable[[], None],
    ) -> None:
        """`policy`: whom the grabs leave alone, asked at intake and again before each is dialled. `first`: the slice's
        first position. `on_failure`: called when a grab has ended by itself. Raises UsageError for what this host
        cannot grab."""
        self._on_failure = on_failure
        self._turn, self._in_turn = how.turn, False
        self._publisher, self._hits = publisher, topics.hits
        self._bus = MemoryBus(partitions=1, bound=MAX_WAITING, keep=False)
        self._log = self._bus.publisher()
        self._stopping = asyncio.Event()
        self._cut = False  #: hits were found that are not grabbed
        self._done = first
        self._marks: deque[tuple[int, int]] = deque()  # (position, length of the log that it takes)
        self._tasks: list[asyncio.Task[Any]] = []
        self._queueing: asyncio.Task[None] | None = None
        share = max(1, how.concurrent // max(1, len(work.grabs)))
        self._groups = work.grabs
        self._runners: list[Runner] = []
        if work.banner is not None:
            grounds = self._grounds(how, share, policy, topics, "banner")
            self._runners.append(bannergrab_runner(banner_settings(work.banner, share), grounds, ""))
        if work.tls is not None:
            grounds = self._grounds(how, share, policy, topics, "tls")
            self._runners.append(tlsgrab_runner(tls_settings(work.tls, share), grounds, ""))

    def _grounds(self, how: Grabbing, share: int, policy: Policy, topics: Topics, group: str) -> Grounds:
        soft, _ = raise_descriptor_limit()
        return Grounds(
            source=self._bus.source((topics.hits,), group),
            publisher=self._publisher,
            later=None,
            topics=topics,
            runner=RunnerSettings(drain_deadline=STOP_SECONDS / (1 - SETTLE_SHARE)),  # the rest is to settle
            policy=policy,
            limits=limits_of(how.politeness),
            horizon=how.politeness.horizon,
            capacity=fit_concurrency(share, RESERVED + max(0, soft - RESERVED) // len(self._groups)),
            shared=True,
            text=False,
            metrics=Metrics(),
        )

    # --- the scan's publisher

    async def start(self) -> None:
        """Begin to grab, when it is its turn."""
        for runner in self._runners:
            runner.heed(_NOT_YET)
            task = asyncio.create_task(runner.run(), name=f"{runner.name} of a slice")
            task.add_done_callback(lambda _: None if self._stopping.is_set() else self._on_failure())
            self._tasks.append(task)
        await self._until(lambda: all(runner.ready for runner in self._runners))
        self._queueing = asyncio.create_task(self._queue(), name="a slice's turn to grab")

    async def _queue(self) -> None:
        await self._turn.acquire()
        self._in_turn = True
        self.look_again()

    async def publish(self, outputs: Sequence[Output]) -> None:
        await self._publisher.publish(outputs)
        hits = [output for output in outputs if output.topic == self._hits]
        if hits and not await self._unless_stopped(self._log.publish(hits)):
            self._cut = True

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        await self.publish(outputs)

    # --- how far it is

    def reached(self, position: int) -> int:
        """The scan has published all before `position`: before which position everything is grabbed too."""
        if position > (self._marks[-1][0] if self._marks else self._done) and not self._cut:
            self._marks.append((position, len(self._bus.log(self._hits)[_ONLY])))
        at = self._hits, _ONLY
        settled = min((self._bus.committed(group).get(at, 0) for group in self._groups), default=0)
        while self._marks and self._marks[0][1] <= settled:
            self._done = self._marks.popleft()[0]
        return self._done

    async def drained(self) -> None:
        """Until all that was found is grabbed, or grabbing has ended."""
        await self._until(lambda: not any(self._bus.lag(group) for group in self._groups))

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Or until grabbing has ended."""
        while not condition():
            if self._stopping.is_set() or self.failed:
                return
            await asyncio.sleep(LOOK)

    @property
    def failed(self) -> bool:
        """A grab has ended by itself, as none should."""
        return any(task.done() for task in self._tasks)

    def look_again(self) -> None:
        """The policy has changed: what is under way against it is ended by RST."""
        if not self._stopping.is_set():
            for runner in self._runners:
                runner.heed(Standing() if self._in_turn else _NOT_YET)

    def halt(self) -> None:
        """Send nothing more at all: what is under way is ended by RST, and comes again with the rest of the slice."""
        for runner in self._runners:
            runner.heed(HALTED)
        self.stop()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()
        for runner in self._runners:
            runner.stop()

    async def close(self) -> None:
        """Let what is under way end. Raises what a grab ended with."""
        self.stop()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._leave()
        for result in ended:
            if isinstance(result, BaseException):
                raise result

    async def _leave(self) -> None:
        """The turn is the next one's."""
        try:
            if self._queueing is not None:
                self._queueing.cancel()
                with suppress(asyncio.CancelledError):
                    await self._queueing
        finally:
            if self._in_turn:
                self._in_turn = False
                self._turn.release()

    async def _unless_stopped(self, doing: Coroutine[Any, Any, None]) -> bool:
        """Whether it was done."""
        if self._stopping.is_set() or self.failed:
            doing.close()
            return False
        task = asyncio.create_task(doing, name="hits to grab")
        stopping = asyncio.create_task(self._stopping.wait(), name="hits to grab, or stopped")
        try:
            await asyncio.wait({task, stopping, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                return True
            return False
        finally:
            for each in (task, stopping):
                each.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)
