"""The one stage loop: take, work, publish, commit; drain when told to stop.

    source -> Feed -> Flow (decode, admit, gate, Stage.take) -> Feed -> Settler -> publisher, commit

A runner has a few long-lived tasks (a reader and a settler per source) and one callback a turn of the loop; there is no
task, future or lock per record. Delivery is at least once: a position is committed after the results of everything
before it are acknowledged.

What politeness delays for long goes to the stage's later topic, which is read back through a source of its own
(`later`), in a group of its own: its records are held until they are due without stopping the main topic, and neither
span grows without bound.

It ends when a pipe ended and everything is settled, when it was told to stop and has drained, or with an error: then it
settles what is done and raises it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, runtime_checkable

from stages.core.bus.base import Partition, Publisher, Source, Topics
from stages.core.concurrency import Concurrency
from stages.core.errors import LonglineError
from stages.core.feed import Feed
from stages.core.flow import NOT_BEFORE, Flow
from stages.core.job import Desk, Job, Stage
from stages.core.offsets import Offsets
from stages.core.orders import Standing
from stages.core.pacing import backoff
from stages.core.politeness import Gate
from stages.core.runner_metrics import RunnerMetrics
from stages.core.settings import RunnerSettings
from stages.core.settler import Settler

__all__ = ["NOT_BEFORE", "Job", "Runner", "RunnerMetrics", "Stage", "Summary"]

log = logging.getLogger("longline.core.runner")

#: Records in flight unless the stage says otherwise.
DEFAULT_CAPACITY: Final = 1_000

#: Seconds that something may wait for politeness before it goes to the later topic, unless the stage says otherwise.
DEFAULT_HORIZON: Final = 30.0

#: High water is at least this many times the capacity: enough to fill what ends while the next poll is on its way.
HIGH_OVER_CAPACITY: Final = 2

#: Share of the water marks that the later topic gets: what is held there until due must not grow either.
LATER_SHARE: Final = 0.25

#: Records of one poll: decoding them is one slice of the loop, a few milliseconds. Also the most that a source which
#: can cut hands out as one chunk, and so what one unfinished record makes a crash repeat.
POLL_RECORDS: Final = 500

#: Seconds that a poll waits for the first record; also how late a reader sees that it should stop.
POLL_TIMEOUT: Final = 0.2

#: Seconds between two polls without intake while paused: far within any broker's patience.
KEEP_ALIVE: Final = 0.5

#: Seconds until a failed poll is tried again, at first and at most.
POLL_RETRY_FIRST: Final = 0.1
POLL_RETRY_CEILING: Final = 5.0

#: Seconds, and share of the drain deadline, kept for the last settling.
SETTLE_GRACE: Final = 5.0
SETTLE_SHARE: Final = 0.25

#: The timer's resolution in seconds: it never fires earlier than this from now.
TICK: Final = 0.001


@runtime_checkable
class Shared(Protocol):
    """A source that knows how many of the topic's partitions it owns."""

    @property
    def share(self) -> float:
        """0-1."""


@runtime_checkable
class Backed(Protocol):
    """A stage that stands on something of its own, such as a store, and knows whether that is there."""

    @property
    def ready(self) -> bool: ...


@runtime_checkable
class Heeding(Protocol):
    """A stage that sends, and ends what an order is against."""

    def heed(self, standing: Standing) -> None: ...


@dataclass(slots=True, frozen=True)
class Summary:
    """What a run did, in records. `left` were taken and not settled: they come again from a log, never from a pipe."""

    taken: int
    skipped: int
    answered: int
    done: int
    dead: int
    later: int
    left: int


class Runner:
    """Runs `stage` between `source` and `publisher`, which it starts and closes.

    `capacity` is how many records may be in flight, `clock` the seconds since the epoch. Without `later` (a pipe)
    nothing is put off: it waits here.
    """

    def __init__(
        self,
        stage: Stage,
        source: Source,
        publisher: Publisher,
        *,
        settings: RunnerSettings,
        gate: Gate[Job] | None = None,
        topics: Topics | None = None,
        metrics: RunnerMetrics | None = None,
        capacity: int = DEFAULT_CAPACITY,
        later: Source | None = None,
        horizon: float = DEFAULT_HORIZON,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stage = stage
        self._publisher = publisher
        self._settings = settings
        self._gate = gate
        self._clock = clock
        self.metrics = RunnerMetrics(stage.name) if metrics is None else metrics
        self._flow = Flow(
            stage,
            Topics() if topics is None else topics,
            self.metrics,
            gate=gate,
            concurrency=Concurrency(capacity),
            local_tries=settings.local_tries,
            put_off=later is not None,
            horizon=horizon,
        )
        high = max(settings.high_water, HIGH_OVER_CAPACITY * capacity)
        low = high * settings.low_water // settings.high_water
        self._main = self._feed(source, high, low)
        self._feeds = [self._main]
        if later is not None:
            self._feeds.append(self._feed(later, max(2, int(high * LATER_SHARE)), int(low * LATER_SHARE)))
        self._settlers = [Settler(feed, publisher, self.metrics, settings.flush_age) for feed in self._feeds]
        self._readers: list[asyncio.Task[None]] = []
        self._settling: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0
        self._turning = False
        self._opened = False
        self._sound = True
        self._stopping = False
        self._over = asyncio.Event()
        self._changed = asyncio.Event()
        self._error: BaseException | None = None
        self._left = 0
        self._watch()

    def _feed(self, source: Source, high: int, low: int) -> Feed:
        return Feed(source, Offsets(self._settings.span), Desk(self._wake), high, low)

    # --- from outside

    async def run(self) -> Summary:
        """Run until it ends. Raises what stopped it: Fused, HostError, or a bug's exception."""
        self._loop = asyncio.get_running_loop()
        try:
            if await self._open():
                await self._over.wait()
            await self._drain()
        finally:
            await self._shut()
        if self._error is not None:
            raise self._error
        return self.summary

    def stop(self) -> None:
        """Drain and leave: no more intake, finish what is in flight up to the deadline, settle."""
        if not self._stopping:
            self._stopping = True
            self._over.set()

    def heed(self, standing: Standing) -> None:
        """Orders of a user's: while one stops all, or it is not known whether one does, nothing is begun; what is taken
        waits, and is not committed."""
        self._flow.hold = standing.everything is not None or not standing.known
        if isinstance(self._stage, Heeding):
            self._stage.heed(standing)
        self._wake()

    @property
    def in_flight(self) -> int:
        return self._flow.in_flight

    @property
    def capacity(self) -> int:
        """How many may be in flight now; lower than asked for while this host is short of something."""
        return self._flow.concurrency.limit

    @property
    def waiting(self) -> int:
        """Records decoded and not begun."""
        return self._flow.waiting

    @property
    def idle(self) -> bool:
        """Reading, with nothing in flight, nothing waiting, nothing unsettled."""
        return self._opened and not self._flow.in_flight and all(feed.idle for feed in self._feeds)

    @property
    def name(self) -> str:
        return self._stage.name

    @property
    def paused(self) -> bool:
        return self._main.paused

    @property
    def ready(self) -> bool:
        """Assigned and connected, the last settle did not fail, and what the stage stands on is there."""
        return (
            self._opened
            and not self._over.is_set()
            and self._publisher.ready
            and all(feed.source.ready for feed in self._feeds)
            and not any(settler.failing for settler in self._settlers)
            and (not isinstance(self._stage, Backed) or self._stage.ready)
        )

    async def lag(self) -> int:
        """Offsets not committed, of the stage's topics and of its later topic."""
        return sum([await feed.source.lag() for feed in self._feeds])

    @property
    def summary(self) -> Summary:
        m = self.metrics
        return Summary(
            taken=int(m.taken.total),
            skipped=int(m.skipped.total),
            answered=int(m.admitted.total),
            done=int(m.done.total),
            dead=int(m.dead.total),
            later=int(m.later.total),
            left=self._left,
        )

    # --- open and shut

    async def _open(self) -> bool:
        """Start everything; False when told to stop before that was done."""
        starting = asyncio.create_task(self._start(), name=f"{self._stage.name} start")
        over = asyncio.create_task(self._over.wait(), name=f"{self._stage.name} over")
        try:
            await asyncio.wait((starting, over), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return False
            starting.result()
        finally:
            for task in (starting, over):
                task.cancel()
            await asyncio.gather(starting, over, return_exceptions=True)
        self._opened = True
        for feed, settler in zip(self._feeds, self._settlers, strict=True):
            self._readers.append(self._spawn(self._read(feed), "read"))
            self._settling.append(self._spawn(settler.run(), "settle"))
        return True

    async def _start(self) -> None:
        await self._publisher.start()
        await self._stage.start()
        for feed, settler in zip(self._feeds, self._settlers, strict=True):
            await feed.source.start(partial(self._on_revoke, feed, settler))

    def _spawn(self, coroutine: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine, name=f"{self._stage.name} {what}")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
            log.debug("%s stops: %s", self._stage.name, error)  # `run` raises it to whoever reports it
        self._over.set()
        self._changed.set()

    async def _shut(self) -> None:
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()
        tasks = self._readers + self._settling
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with AsyncExitStack() as closing:  # each is closed, whatever the others raise
            closing.push_async_callback(self._publisher.close)
            for feed in self._feeds:
                self._left += feed.lose(feed.offsets.spans) + feed.backlog
                closing.push_async_callback(feed.source.close)
            closing.push_async_callback(self._stage.close)

    # --- intake

    async def _read(self, feed: Feed) -> None:
        assert self._loop is not None
        source = feed.source
        failures = 0
        while not self._over.is_set():
            room = feed.room()
            try:
                if room <= 0:
                    await source.poll(0, 0.0)
                    await feed.wait_room(KEEP_ALIVE)
                    continue
                chunks = await source.poll(min(room, POLL_RECORDS), POLL_TIMEOUT)
            except LonglineError as error:
                if not error.retry:
                    raise
                wait = backoff(failures, POLL_RETRY_FIRST, POLL_RETRY_CEILING)
                log.warning("%s cannot read, next try in %.1f s: %s", self._stage.name, wait, error)
                self.metrics.retries.add(1, "poll")
                failures += 1
                await asyncio.sleep(wait)
                continue
            failures = 0
            if self._over.is_set():
                return
            if chunks and (since := chunks[0].since) is not None:
                self.metrics.age.observe(max(0.0, self._clock() - since))
            if feed is self._main and self._gate is not None and isinstance(source, Shared):
                self._gate.set_share(source.share)
            if chunks:
                now, epoch = self._loop.time(), self._epoch()
                for chunk in chunks:
                    self._flow.accept(feed, chunk, now, epoch)
                self._wake()
                await asyncio.sleep(0)
            elif source.ended:
                feed.ended = True
                self._wake()
                return

    def _epoch(self) -> int:
        return int(self._clock() * 1e6)

    # --- the turn

    def _wake(self) -> None:
        """Turn soon."""
        if not self._turning and self._loop is not None:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Clear the desks, begin what may begin, and see when to look again."""
        assert self._loop is not None
        self._turning = False
        flow, settings = self._flow, self._settings
        now, epoch = self._loop.time(), self._epoch()
        try:
            for feed in self._feeds:
                if feed.desk.jobs:
                    flow.reap(feed, now, epoch)
            if not self._over.is_set():
                if flow.begin(now, epoch, self._feeds):
                    self._wake()
                flow.put_off(now, epoch)
        except Exception as error:  # a bug of ours; results may be missing, so nothing more is committed
            self._sound = False
            for task in self._settling:
                task.cancel()
            self._fail(error)
        for feed in self._feeds:
            feed.stir(settings.flush_records, settings.flush_bytes)
        if flow.error is not None and self._error is None:
            self._fail(flow.error)
        self._changed.set()
        if self._main.ended and self.idle:
            self._over.set()
        if not self._over.is_set():
            self._set_timer(flow.next_at(now), now)

    def _set_timer(self, when: float | None, now: float) -> None:
        assert self._loop is not None
        if self._timer is not None:
            if when is not None and self._fires_at <= when:
                return  # it fires early enough, and looks again
            self._timer.cancel()
            self._timer = None
        if when is not None:
            # Kept here: uvloop hands out a plain Handle, without `when`, for what it rounds to "at once".
            self._fires_at = max(when, now + TICK)
            self._timer = self._loop.call_at(self._fires_at, self._ring)

    def _ring(self) -> None:
        """The timer fired. uvloop rounds to milliseconds and may fire before `_fires_at`: the clock does not tell."""
        self._timer = None
        self._wake()

    async def _until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait for what a turn changes; False when `timeout` seconds have passed or the stage failed."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    if self._error is not None:
                        return False
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    # --- the end

    async def _drain(self) -> None:
        assert self._loop is not None
        if not self._opened:
            return
        loop, total = self._loop, self._settings.drain_deadline
        deadline = loop.time() + total
        grace = min(SETTLE_GRACE, total * SETTLE_SHARE)
        flow = self._flow
        flow.discard(lambda _: True)
        if self._error is None:
            await self._until(lambda: not flow.in_flight, total - grace)
        # Nobody reads our output any more: nobody misses what is left.
        level = logging.DEBUG if isinstance(self._error, LonglineError) and self._error.quiet else logging.WARNING
        if flow.in_flight:
            log.log(level, "%s: %d records are still in flight and are dropped", self._stage.name, flow.in_flight)
            self._stage.cancel()
        left = max(deadline - loop.time(), 0.0)
        running = [s for s, task in zip(self._settlers, self._settling, strict=True) if not task.done()]
        if self._sound:
            await asyncio.gather(*(settler.flush(left) for settler in running))
        unsettled = sum(feed.backlog for feed in self._feeds)
        if unsettled:
            log.log(level, "%s: %d results were not acknowledged in time", self._stage.name, unsettled)

    async def _on_revoke(self, feed: Feed, settler: Settler, partitions: Sequence[Partition]) -> None:
        """Partitions are taken away: drop what is not begun, finish what is in flight, settle, forget the rest."""
        assert self._loop is not None
        spans = self._flow.withdraw(feed, partitions)
        total = self._settings.drain_deadline
        deadline = self._loop.time() + total
        grace = min(SETTLE_GRACE, total * SETTLE_SHARE)
        flow = self._flow
        await self._until(lambda: not flow.in_flight or all(span.awaited <= 0 for span in spans), total - grace)
        if self._settling and self._error is None:
            await settler.flush(max(deadline - self._loop.time(), 0.0))
        left = feed.lose(spans)
        log.info("%s: %d partitions taken away, %d records left to others", self._stage.name, len(partitions), left)
        self._wake()

    def _watch(self) -> None:
        """The gauges look at us when somebody asks."""
        m, flow, main = self.metrics, self._flow, self._main
        m.in_flight.read = lambda: flow.in_flight
        m.capacity.read = lambda: flow.concurrency.limit
        m.waiting.read = lambda: flow.waiting
        m.unsettled.read = lambda: sum(feed.backlog for feed in self._feeds)
        m.span.read = lambda: max(feed.offsets.span for feed in self._feeds)
        m.paused.read = lambda: float(main.paused)
        m.ready.read = lambda: float(self.ready)
