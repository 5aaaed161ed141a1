"""The sink as a stage: records are gathered into batches, and each is finished when the store has acknowledged it.

A batch leaves when it has enough records or bytes, or when its first record has waited long enough. Up to `writers`
batches are on their way at once: while the store works on one, the next is made. A store that is out of reach is tried
again with a back-off, for ever: nothing is acknowledged meanwhile, so nothing is lost, and the runner's bound on what
is in flight stops the intake.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from stages.core.bus.base import Output
from stages.core.errors import HostError, LonglineError, Unavailable
from stages.core.job import Job
from stages.core.outcome import DeadReason
from stages.core.pacing import backoff
from stages.core.records import parse
from stages.core.starved import leave_if_starved
from stages.sink.certificate import Known
from stages.sink.documents import CertificateSeen, Entry, Observation, ScanUpdate, entry, fold_certificates, fold_scans
from stages.sink.metrics import SinkMetrics
from stages.sink.settings import SinkSettings
from stages.sink.store import Batch, Preparing, Store, Written

log = logging.getLogger("longline.sink.stage")

#: Seconds until a failed write is tried again, at first and at most. Below any drain deadline worth having.
RETRY_FIRST: Final = 0.2
RETRY_CEILING: Final = 10.0

#: How many batches may wait for each that is being written, so that a writer never waits for the runner.
BATCHES_AHEAD: Final = 2

_FAILURE: Final = {Unavailable: "unavailable", HostError: "host"}


class SinkStage:
    """The runner's stage (`stages.core.job.Stage`)."""

    name = "sink"

    def __init__(
        self,
        store: Store,
        settings: SinkSettings,
        metrics: SinkMetrics | None = None,
        *,
        known: Known | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.store = store
        self.metrics = SinkMetrics() if metrics is None else metrics
        self.ready: bool = False  #: the last thing asked of the store went well
        self.metrics.reachable.read = lambda: float(self.ready)
        self._settings = settings
        self._prepare = store.prepare if isinstance(store, Preparing) else None
        self._known = Known() if known is None else known
        self._clock = clock
        self._sleep = sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[Job] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()
        self._opened = False
        self._reaching: asyncio.Task[None] | None = None

    @property
    def capacity(self) -> int:
        """Records in flight that keep all writers busy: what to give the runner."""
        return self._settings.batch * self._settings.writers * BATCHES_AHEAD

    # --- the runner's side

    def decode(self, line: bytes) -> Entry:
        decoded = entry(parse(line), len(line))
        if self._prepare is not None and decoded.observation is not None:
            self._prepare(decoded.observation)
        return decoded

    def target(self, record: Entry) -> None:
        return None

    def admit(self, record: Entry) -> Sequence[Output] | None:
        return None

    async def start(self) -> None:
        """Open the store. One that is out of reach does not keep us from starting; what is wrong for good does."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._open()
        except Unavailable as error:
            log.warning("%s is out of reach, records wait: %s", self.store.name, error)
            self._reaching = asyncio.create_task(self._reach(), name="sink reach")

    async def _reach(self) -> None:
        """Go on trying, so that a sink to which nothing comes is ready when its store is."""
        failures = 0
        while not self._opened:
            await self._sleep(backoff(failures, RETRY_FIRST, RETRY_CEILING))
            failures += 1
            try:
                await self._open()
            except Unavailable as error:
                log.debug("%s is still out of reach: %s", self.store.name, error)
            except LonglineError as error:  # for good: the next record's write raises it
                log.error("%s: %s", self.store.name, error)
                return

    def take(self, jobs: Sequence[Job]) -> None:
        self._waiting.extend(jobs)
        for job in jobs:
            self._bytes += job.record.size
        self._launch()

    def cancel(self) -> None:
        self._waiting.clear()
        self._bytes = 0
        self._stop_timer()
        for task in self._writes:
            task.cancel()

    async def close(self) -> None:
        self.cancel()
        if self._reaching is not None:
            self._reaching.cancel()
            await asyncio.gather(self._reaching, return_exceptions=True)
            self._reaching = None
        await asyncio.gather(*self._writes, return_exceptions=True)
        self.ready = False
        await self.store.close()

    # --- batches

    def _full(self) -> bool:
        return len(self._waiting) >= self._settings.batch or self._bytes >= self._settings.batch_bytes

    def _launch(self) -> None:
        """Send off what is full; see to it that the rest does not wait for ever."""
        while self._full() and len(self._writes) < self._settings.writers:
            self._send()
        if self._waiting and self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(self._settings.batch_age, self._aged)

    def _aged(self) -> None:
        self._timer = None
        if self._waiting and len(self._writes) < self._settings.writers:
            self._send()
        self._launch()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        jobs: list[Job] = []
        size = 0
        waiting, most, most_bytes = self._waiting, self._settings.batch, self._settings.batch_bytes
        while waiting and len(jobs) < most and size < most_bytes:
            job = waiting.popleft()
            size += job.record.size
            jobs.append(job)
        self._bytes -= size
        if not waiting:
            self._stop_timer()
        task = asyncio.create_task(self._write(jobs), name="sink write")
        self._writes.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a batch ended by a mistake of ours: %r", error)
        self._launch()

    # --- one batch

    async def _write(self, jobs: list[Job]) -> None:
        """Write until it is written; every job is finished after this."""
        failures = 0
        while True:
            try:
                rejected = await self._attempt([job.record for job in jobs])
            except LonglineError as error:
                self.ready = False
                self.metrics.failures.add(1, _FAILURE.get(type(error), "host"))
                if not error.retry:
                    for job in jobs:
                        job.local(str(error))
                    return
                wait = backoff(failures, RETRY_FIRST, RETRY_CEILING)
                failures += 1
                log.warning("%s did not write, next try in %.1f s: %s", self.store.name, wait, error)
                await self._sleep(wait)
            except Exception as error:  # a mistake of ours with one of them must not stop the others
                leave_if_starved(error)
                self.metrics.failures.add(1, "bug")
                if len(jobs) == 1:
                    log.exception("a record cannot be stored")
                    jobs[0].dead(DeadReason.BUG, repr(error))
                    return
                for job in jobs:
                    await self._write([job])
                return
            else:
                break
        if not rejected:
            for job in jobs:
                job.done()
            return
        for job in jobs:
            why = _why(job.record, rejected)
            if why is None:
                job.done()
            else:
                job.dead(DeadReason.REFUSED, why)

    async def _open(self) -> None:
        async with self._opening:
            if not self._opened:
                await self.store.open()
                self._opened = self.ready = True
                log.info("storing in %s", self.store.place)

    async def _attempt(self, entries: list[Entry]) -> dict[str, str]:
        """Write them once. Returns id -> why it is refused for good."""
        await self._open()
        batch = gather(entries)
        if batch.certificates:
            await self._describe(batch.certificates)
        began = self._clock()
        written = await self.store.write(batch)
        if written.missing:
            await self._again(batch, written)
        now = self._clock()
        self._known.stored(c.sha256 for c in batch.certificates if c.sha256 not in written.rejected)
        self.metrics.wrote(written, len(entries), len(written.rejected), max(0.0, now - began), now)
        self.metrics.heard(batch, now)
        self.ready = True
        return written.rejected

    async def _describe(self, certificates: list[CertificateSeen]) -> None:
        """Read those that are not known to be stored; in a thread, as it takes 0.1 ms each."""

        def read() -> int:
            for seen in certificates:
                seen.fields = self._known.fields(seen.sha256, seen.raw)
            return sum(seen.fields is not None for seen in certificates)

        self.metrics.parsed.add(await asyncio.to_thread(read))

    async def _again(self, batch: Batch, written: Written) -> None:
        """Certificates that we thought were stored have been removed: write them in full."""
        self._known.forget(written.missing)
        missing = set(written.missing)
        seen = [c for c in batch.certificates if c.sha256 in missing]
        await self._describe(seen)
        more = await self.store.write(Batch(certificates=seen))
        written.certificates += more.certificates
        written.rejected.update(more.rejected)


def gather(entries: Sequence[Entry]) -> Batch:
    """One batch of many entries. Of two observations with one id the first stays; their certificates both count."""
    observations: dict[str, Observation] = {}
    scans: list[ScanUpdate] = []
    shown: list[tuple[str, bytes, int]] = []
    for e in entries:
        if e.observation is not None:
            observations.setdefault(e.id, e.observation)
        if e.scan is not None:
            scans.append(e.scan)
        if e.certificates:
            shown.extend(e.certificates)
    return Batch(list(observations.values()), fold_certificates(shown), fold_scans(scans))


def _why(e: Entry, rejected: dict[str, str]) -> str | None:
    """Why this entry is refused: itself, or one of its certificates."""
    keys = [e.id, *(digest for digest, _, _ in e.certificates)]
    if e.scan is not None:
        keys.append(e.scan.scan)
    return next((rejected[key] for key in keys if key in rejected), None)
