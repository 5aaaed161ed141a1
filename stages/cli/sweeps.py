"""A campaign's sweeps as scans of this machine (`stages.campaign.sweep.Executor`).

With `--bus` they write to that log, and other processes grab and store. Without it all is done in here, over the one
SQLite file of the store, as by `longline run`.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from stages.campaign.groups import groups
from stages.campaign.plan import Campaign
from stages.campaign.sweep import Covers, Job, Pair, Report, Sample
from stages.cli.answering import NO_PORT, answering
from stages.cli.assembly import guarded, started, topics_of
from stages.cli.heeding import leave_if_ordered
from stages.cli.hourly import Hourly
from stages.cli.pipeline import Pipeline
from stages.cli.stored import Stored
from stages.cli.sweep_pieces import Piece, Pieces
from stages.core.bus.urls import open_publisher
from stages.core.lifecycle import Life
from stages.core.metrics import Metrics
from stages.core.orders import Orders
from stages.core.settings import BusSettings, ListSettings, Loaded, MetricsSettings
from stages.net.privileges import Setup
from stages.scanner.app import scan
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.settings import ScannerSettings

#: Seconds of sending that a sample costs, at most.
SAMPLE_SECONDS: Final = 600.0


class LocalSweeps:
    """Of one campaign."""

    def __init__(
        self,
        campaign: Campaign,
        loaded: Loaded,
        folder: Path,
        setup: Setup | None,
        *,
        embedded: bool,
        lock: asyncio.Lock,
        orders: Orders,
    ) -> None:
        """`embedded`: grabs and the store are in here. `lock`: of the store's file; one works on it at a time.
        `orders`: what every scan heeds."""
        self._grabs = tuple(campaign.plan.grabs)
        # The campaign has a port of metrics, and its scans none.
        self._loaded = loaded.changed("metrics", **dict(MetricsSettings()))
        self._pieces = Pieces(loaded, folder)
        self._setup, self._embedded, self._lock, self._orders = setup, embedded, lock, orders
        self._stored = Stored(loaded)

    async def sweep(self, job: Job, stop: asyncio.Event) -> Report:
        pieces = await asyncio.to_thread(self._pieces.of, job)
        hourly = Hourly(lambda: job.plan.opening.hour(time.time()))
        for piece in pieces:
            held = await asyncio.to_thread(piece.held)
            if held is not None and held.finished:
                continue
            await asyncio.to_thread(piece.prepared, held)
            if stop.is_set():
                break
            await self._run(piece, stop, hourly)
        return await asyncio.to_thread(_report, pieces, hourly)

    async def controls(self, job: Job) -> int:
        pieces, scanner = self._pieces, self._pieces.scanner
        pairs = {(ip, port if pieces.ported else NO_PORT) for ip, port in job.plan.pairs}
        plain = {"probe": (), "probe_module": "tcp_synscan", "probe_args": None} if scanner.parts else {}
        found: set[Pair] = set()
        for n, group in enumerate(groups(pairs)):
            name = f"{job.name}-controls-{n}"
            more: dict[str, Any] = {"vantage": job.lane.vantage, "seed": None, **plain}
            settings = await asyncio.to_thread(partial(pieces.listed, name, group.addresses, group.ports, **more))
            try:
                found |= await self._answering(settings, pieces.live, asyncio.Event())
            finally:
                await asyncio.to_thread(pieces.clear, name)
        return len(found & pairs)

    async def sample(self, job: Job, report: Report, seed: int, stop: asyncio.Event) -> Sample | None:
        [piece] = await asyncio.to_thread(self._pieces.of, job)
        held = await asyncio.to_thread(piece.held)
        if held is None or not report.found or not report.targets:
            return None
        size = min(report.targets, math.ceil(job.plan.sample * report.targets / report.found))
        speed = self._pieces.scanner.rate
        if speed:
            size = min(size, max(1, int(speed * SAMPLE_SECONDS / self._pieces.scanner.attempts)))
        first = random.Random(seed).randrange(report.targets - size + 1)
        settings = piece.settings.model_copy(
            update={
                "scan": f"{job.name}-sample", "seed": held.seed, "first_target": first, "max_targets": str(size),
                "rate": speed,
            }
        )  # fmt: skip
        again = await self._answering(settings, piece.lists, stop)
        return Sample(size, len(again), await self._stored.found(job.name, again))

    def covers(self, job: Job) -> Covers:
        return self._pieces.covers(job)

    async def seen(self, job: Job) -> AsyncIterator[list[tuple[Pair, str]]]:
        names = [piece.settings.scan or "" for piece in await asyncio.to_thread(self._pieces.of, job)]
        if not self._embedded:
            await self._stored.until_stored(names)
        async for some in self._stored.states(names):
            yield some

    async def end(self, job: Job) -> None:
        await asyncio.to_thread(self._pieces.clear, job.name)

    async def drain(self) -> None:
        """Work off what is left in the embedded logs, unless somebody does."""
        if self._embedded and not self._lock.locked():
            async with self._lock:
                await Pipeline(self._loaded, grabs=self._grabs, again=False, view=False, scanning=False).run(Life())

    # --- within

    async def _answering(self, settings: ScannerSettings, lists: ListSettings, stop: asyncio.Event) -> set[Pair]:
        return await answering(
            settings, lists, folder=self._pieces.folder, setup=self._setup, stop=stop, orders=self._orders
        )

    async def _run(self, piece: Piece, stop: asyncio.Event, hourly: Hourly) -> None:
        """One turn of one scan."""
        async with _life(stop) as life:
            if self._embedded:
                loaded = self._loaded.changed("scanner", **dict(piece.settings))
                pipeline = Pipeline(
                    loaded, grabs=self._grabs, again=False, view=False, setup=self._setup,
                    checkpoint=piece.checkpoint, lists=piece.lists,
                )  # fmt: skip
                await self._lock.acquire()
                try:
                    await _counted(pipeline.run(life), pipeline.state.metrics, hourly)
                finally:
                    self._lock.release()
            else:
                metrics = Metrics()
                await _counted(self._scan(piece, life, ScannerMetrics(metrics)), metrics, hourly)

    async def _scan(self, piece: Piece, life: Life, metrics: ScannerMetrics) -> None:
        """Onto the log that other processes read."""
        bus = self._loaded.get("bus", BusSettings)
        topics = topics_of(bus)
        publisher = open_publisher(bus.sink, bus, main=topics.hits, stage="scanner")
        try:
            if not await started(publisher, life):
                return
            async with guarded(self._pieces.live, metrics.all) as guard:
                self._orders.listen(guard.heed)
                try:
                    summary = await scan(
                        piece.settings, lists=piece.lists, publisher=publisher, topics=topics, stop=life.stopping,
                        metrics=metrics, checkpoint=piece.checkpoint, resume=True, on_policy=guard.follow,
                        setup=self._setup, orders=self._orders,
                    )  # fmt: skip
                finally:
                    self._orders.unlisten(guard.heed)
                leave_if_ordered(summary, self._orders.standing)
        finally:
            await publisher.close()


async def _counted(work: Awaitable[object], metrics: Metrics, hourly: Hourly) -> None:
    hourly.begin(metrics)
    ticking = asyncio.create_task(hourly.run(), name="sweep hours")
    try:
        await work
    finally:
        hourly.end()
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


@asynccontextmanager
async def _life(stop: asyncio.Event) -> AsyncIterator[Life]:
    """A life of one scan, which ends with `stop`."""
    life = Life()

    async def bridge() -> None:
        await stop.wait()
        life.stop()

    task = asyncio.create_task(bridge(), name="sweep stop")
    try:
        yield life
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _report(pieces: list[Piece], hourly: Hourly) -> Report:
    """Blocks."""
    position = targets = sent = found = 0
    complete = True
    for piece in pieces:
        held = piece.held()
        targets += piece.prepared().spec.size
        complete = complete and held is not None and held.finished
        if held is not None:
            position += held.position
            sent += held.counters.get("sent", 0)
            found += held.counters.get("success", 0)
    return Report(complete, position, targets, sent, found, hourly.icmp, hourly.counts)
