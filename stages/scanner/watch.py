"""Watching one engine: ends the sending when told to, counts, reports, and puts marks into the delivery.

A look every few hundredths of a second is enough for all of that; the engine and the writer work by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from stages.scanner.delivery import Delivery
from stages.scanner.drops import advice
from stages.scanner.engines import Engine
from stages.scanner.liveview import Screen, lines
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.prepare import Prepared, Slice
from stages.scanner.progress import Progress, Sample
from stages.scanner.summary import ORDERED, Counters, Tally

log = logging.getLogger("longline.scanner.watch")

#: Seconds between two looks: what a stop, a limit or the end of the cooldown waits for at most.
TICK: Final = 0.05

#: Seconds between two status lines, two marks (checkpoints), and two progress records.
STATUS_SECONDS: Final = 1.0
MARK_SECONDS: Final = 1.0
PROGRESS_SECONDS: Final = 5.0

Report = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class State:
    """How far a run has come, over all its engines."""

    position: int = 0
    counters: Counters = field(default_factory=Counters)
    reason: str = "complete"  #: why it ended, if it ended now
    stopped_at: float | None = None  #: monotonic seconds of the request to stop
    ordered: bool = False  #: a standing order says to send nothing


class Watch:
    """One engine's slice."""

    def __init__(
        self,
        prepared: Prepared,
        part: Slice,
        engine: Engine,
        delivery: Delivery,
        *,
        state: State,
        tally: Tally,
        metrics: ScannerMetrics,
        status: TextIO | None,
        marks: bool,
        report: Report | None,
        ripe: bool = True,
        enough: Callable[[], bool] = lambda: False,
        on_look: Callable[[float, Engine], None] | None = None,
    ) -> None:
        """`marks`: whether there is a checkpoint that wants them; `ripe`: whether they count as soon as the writer
        meets them. `report` publishes a progress record. `enough`: all that is wanted is written. `on_look` is called
        at every look; what it raises ends the scan."""
        self._prepared = prepared
        self._part = part
        self._engine = engine
        self._delivery = delivery
        self._state = state
        self._tally = tally
        self._metrics = metrics
        self._status = status
        self._screen: Screen | None = None
        if status is not None and status.isatty() and not prepared.settings.status_line:
            self._screen = Screen(status, shutil.get_terminal_size().columns)
        self._marks = marks
        self._report = report
        self._ripe = ripe
        self._enough = enough
        self._on_look = on_look
        self._before = state.counters
        self._reporting: asyncio.Task[None] | None = None
        self._warned = False

    async def run(self, stop: asyncio.Event, writer: asyncio.Task[None]) -> None:
        """Until the engine is done or the writer has ended. Raises the engine's failure."""
        engine, state = self._engine, self._state
        engine.start()
        begin = time.monotonic()
        progress = self._progress(begin)
        status_at, mark_at, report_at = begin + STATUS_SECONDS, begin + MARK_SECONDS, begin + PROGRESS_SECONDS
        try:
            while not engine.done and not writer.done():
                await asyncio.wait([writer], timeout=TICK)
                now = time.monotonic()
                self._look()
                if self._on_look is not None:
                    self._on_look(now, engine)
                self._metrics.sending.set(engine.sending)
                if not engine.sending:
                    progress.sent_all(now)
                if engine.failure is not None:
                    raise engine.failure
                if state.ordered and state.reason != ORDERED:
                    state.reason, state.stopped_at = ORDERED, now
                    engine.halt()
                elif stop.is_set() and state.stopped_at is None:
                    state.reason, state.stopped_at = "stopped", now
                    engine.stop_sending()
                if self._enough():
                    engine.cut_short()
                engine.renew()
                if self._marks and now >= mark_at:
                    settled = engine.settled(now, self._prepared.settings.cooldown_time)
                    self._delivery.mark(self._part.offset + settled, ripe=self._ripe)
                    mark_at = now + MARK_SECONDS
                if self._status is not None and now >= status_at:
                    with suppress(OSError):  # whoever looked has gone; the scan is not about him
                        self._show(progress, self._sample(now), sending=engine.sending)
                    status_at += STATUS_SECONDS
                if self._report is not None and now >= report_at and self._reporting is None:
                    self._reporting = asyncio.create_task(self._publish(), name="scanner progress")
                    report_at = now + PROGRESS_SECONDS
            self._look()
            if engine.failure is not None:
                raise engine.failure
            if state.reason == "complete" and engine.done and engine.position < self._part.last:
                state.reason = "max-runtime"
        finally:
            if self._reporting is not None:
                self._reporting.cancel()
                with suppress(asyncio.CancelledError):
                    await self._reporting

    def _show(self, progress: Progress, sample: Sample, *, sending: bool) -> None:
        if self._screen is not None:
            self._screen.draw(lines(progress, sample, self._metrics.answers.cells, sending=sending))
        else:
            print(progress.line(sample, sending=sending), file=self._status, flush=True)

    def _look(self) -> None:
        engine, state = self._engine, self._state
        state.counters = self._before.plus(engine.counters)
        state.position = self._part.offset + engine.position
        self._metrics.engine(state.counters, state.position)
        self._metrics.waiting.set(self._delivery.waiting)
        if engine.continuing is not None:
            self._metrics.going_on(engine.continuing)
        self._warn()

    def _warn(self) -> None:
        """Once: what was lost on the way up is not in the results."""
        counters = self._state.counters
        text = advice(counters.received, counters.ring_drops, self._prepared.settings.receive_threads)
        if text is not None and not self._warned:
            self._warned = True
            log.warning("%s", text)

    async def _publish(self) -> None:
        assert self._report is not None
        counters = self._state.counters
        names = ("sent", "received", "validated", "ring_drops", "rate")
        await self._report({**{name: getattr(counters, name) for name in names}, "success": self._tally.success})
        self._reporting = None

    def _progress(self, now: float) -> Progress:
        settings = self._prepared.settings
        self._state.position = self._part.offset + self._part.first
        return Progress(
            self._sample(now),
            last=self._prepared.spec.last,
            cooldown=settings.cooldown_time,
            max_runtime=settings.max_runtime,
        )

    def _sample(self, now: float) -> Sample:
        state = self._state
        return Sample(
            now, state.counters.sent, self._tally.success, state.counters.ring_drops, state.position,
            self._tally.banners,
        )  # fmt: skip
