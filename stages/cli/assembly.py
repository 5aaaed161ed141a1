"""What a stage stands on: lists, logs, metrics, signals. Put together here for every command that runs stages.

`run_stage` is the whole life of one stage in a process of its own; `longline run` puts the same pieces together for
all stages at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from stages.cli.heeding import heed_of, heeded
from stages.core import expiry
from stages.core.bus.base import Publisher, Source, Topics
from stages.core.bus.urls import open_publisher, open_source
from stages.core.descriptors import RESERVED
from stages.core.health import HealthServer
from stages.core.lag import looked_up
from stages.core.lifecycle import Life, fit_concurrency, raise_descriptor_limit
from stages.core.lists import Lists, read_lists
from stages.core.metrics import Metrics
from stages.core.netset import NetSet
from stages.core.orders import Standing
from stages.core.policy import Policy
from stages.core.politeness import Limits
from stages.core.reload import Reloader, counted
from stages.core.resolving import resolver
from stages.core.runner import Runner
from stages.core.settings import (
    PIPE,
    BusSettings,
    ListSettings,
    Loaded,
    MetricsSettings,
    PolitenessSettings,
    RunnerSettings,
)

if TYPE_CHECKING:
    from stages.bannergrab.settings import BannergrabSettings
    from stages.cli.continued import GoOn
    from stages.tlsgrab.settings import TlsgrabSettings

log = logging.getLogger("longline.cli")

#: `-v` -> level of the log, as ZMap counts: fatal, error, warning, info, debug, all.
LEVELS: Final = ("critical", "error", "warning", "info", "debug", "debug")


def topics_of(bus: BusSettings) -> Topics:
    return Topics(bus.prefix)


def group_of(bus: BusSettings, stage: str) -> str:
    return bus.group or f"{bus.prefix}.{stage}"


def limits_of(politeness: PolitenessSettings) -> Limits:
    return Limits(per_host=politeness.per_host, per_prefix=politeness.per_prefix, rate=politeness.rate)


class Guard:
    """The address policies of this process; a reload of the lists, and an order, reach all of them."""

    def __init__(self, policy: Policy, read: Lists) -> None:
        self.policy = policy  #: of stages whose records name single addresses
        self._read = read
        self._all = [policy]
        self._newest: Lists | None = None
        self._besides = NetSet()
        self.on_update: Callable[[], None] = lambda: None  #: called when the policies have new lists

    def also(self, policy: Policy) -> None:
        """Keep `policy` (a scan's) up to date too, from what was reloaded already."""
        if self._newest is not None:
            policy.update(self._newest)
        policy.leave_alone(self._besides)
        self._all.append(policy)

    def heed(self, standing: Standing) -> None:
        self._besides = standing.networks
        for policy in self._all:
            policy.leave_alone(standing.networks)

    def follow(self, policy: Policy) -> None:
        """The same for the policy of a scan that was laid out by lists of another time: these hold from now on."""
        self._newest = self._newest or self._read
        self.also(policy)

    def update(self, lists: Lists) -> None:
        self._newest = lists
        for policy in self._all:
            policy.update(lists)
        self.on_update()


@asynccontextmanager
async def guarded(lists: ListSettings, metrics: Metrics) -> AsyncIterator[Guard]:
    """Read the lists, and watch them while the block lasts."""
    resolve = resolver()
    guard: Guard | None = None

    def apply(new: Lists) -> None:
        assert guard is not None
        guard.update(new)

    reloader = Reloader(lists, resolve, apply, on_result=counted(metrics))
    read = await asyncio.to_thread(read_lists, lists, resolve)
    guard = Guard(Policy.for_records(read, lists), read)
    reloader.start(named=read.named)
    try:
        yield guard
    finally:
        await reloader.close()


@asynccontextmanager
async def watched(
    settings: MetricsSettings, metrics: Metrics, checks: Mapping[str, Callable[[], bool]]
) -> AsyncIterator[None]:
    """/metrics, /healthz and /readyz while the block lasts, and a file of the last metrics behind it, if asked for."""
    try:
        if settings.address is None:
            yield
        else:
            async with HealthServer(settings.address, metrics, checks):
                yield
    finally:
        if settings.file is not None:
            await asyncio.to_thread(metrics.write, settings.file)


def behind(settings: MetricsSettings, runners: Iterable[Runner]) -> AbstractAsyncContextManager[None]:
    """How far these stages are behind is looked up while the block lasts, if somebody may come and ask."""
    return nullcontext() if settings.address is None else looked_up(runners)


def expiring(loaded: Loaded, metrics: Metrics) -> None:
    """Tell when the certificates end that are shown to the log and the store."""
    expiry.watch(metrics, "kafka", loaded.get("bus", BusSettings).ssl_certificate_file)


class Starting(Protocol):
    async def start(self) -> None: ...


async def started(what: Starting, life: Life) -> bool:
    """Start it, however long a broker may be out of reach; False when told to stop before it was there."""
    starting = asyncio.create_task(what.start(), name="start")
    stopping = asyncio.create_task(life.stopping.wait(), name="start stopped")
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return False
        starting.result()
        return True
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Grounds:
    """All that a stage's `make_runner` takes from its surroundings."""

    source: Source
    publisher: Publisher
    later: Source | None
    topics: Topics
    runner: RunnerSettings
    policy: Policy
    limits: Limits
    horizon: float
    capacity: int
    shared: bool  #: the input is a log that other stages read too
    text: bool  #: the output is a pipe
    metrics: Metrics
    alone: bool = False  #: the input is the log of one scanner, and has no other reader
    go_on: GoOn | None = None  #: with the connections of that scanner


def grounds_of(
    loaded: Loaded,
    stage: str,
    concurrent: int,
    policy: Policy,
    metrics: Metrics,
    *,
    shares: int = 1,
    of_scanner: str | None = None,
    go_on: GoOn | None = None,
) -> Grounds:
    """The logs and limits of a grab stage. `shares`: stages of this process that share its descriptors. `of_scanner`:
    the topic to read, if it is not that of all hits. `go_on`: how the connections of that scanner are gone on with."""
    bus = loaded.get("bus", BusSettings)
    politeness = loaded.get("politeness", PolitenessSettings)
    topics = topics_of(bus)
    group = group_of(bus, stage)
    out = {"bannergrab": topics.banners, "tlsgrab": topics.tls}[stage]
    shared = bus.source != PIPE
    soft, _ = raise_descriptor_limit()
    return Grounds(
        source=open_source(bus.source, (of_scanner or topics.hits,), group, bus),
        publisher=open_publisher(bus.sink, bus, main=out, stage=stage),
        later=open_source(bus.source, (topics.later(stage),), f"{group}.later", bus) if shared else None,
        topics=topics,
        runner=loaded.get("runner", RunnerSettings),
        policy=policy,
        limits=limits_of(politeness),
        horizon=politeness.horizon,
        # What the process needs besides connections it needs once, however many stages it has.
        capacity=fit_concurrency(concurrent, RESERVED + max(0, soft - RESERVED) // shares),
        shared=shared,
        text=bus.sink == PIPE,
        metrics=metrics,
        alone=shared and of_scanner is not None,
        go_on=go_on,
    )


def bannergrab_runner(settings: BannergrabSettings, grounds: Grounds, scan: str) -> Runner:
    from stages.bannergrab.app import make_runner

    return make_runner(
        settings,
        source=grounds.source,
        publisher=grounds.publisher,
        topics=grounds.topics,
        runner=grounds.runner,
        blocked=grounds.policy.blocked,
        limits=grounds.limits,
        shared=grounds.shared,
        text=grounds.text,
        later=grounds.later,
        horizon=grounds.horizon,
        capacity=grounds.capacity,
        scan=scan,
        metrics=grounds.metrics,
        go_on=grounds.go_on,
        alone=grounds.alone,
    )


def tlsgrab_runner(settings: TlsgrabSettings, grounds: Grounds, scan: str) -> Runner:
    from stages.tlsgrab.app import make_runner

    return make_runner(
        settings,
        source=grounds.source,
        publisher=grounds.publisher,
        topics=grounds.topics,
        runner=grounds.runner,
        blocked=grounds.policy.blocked,
        limits=grounds.limits,
        shared=grounds.shared,
        text=grounds.text,
        later=grounds.later,
        horizon=grounds.horizon,
        capacity=grounds.capacity,
        scan=scan,
        metrics=grounds.metrics,
        go_on=grounds.go_on,
        alone=grounds.alone,
    )


def sink_runner(loaded: Loaded, metrics: Metrics) -> Runner:
    """The sink over its logs: no politeness, nothing put off; batches as large as its writers are fed by."""
    from stages.core.runner_metrics import RunnerMetrics
    from stages.core.settings import StoreSettings
    from stages.sink.app import build
    from stages.sink.app import topics_of as read_by_sink
    from stages.sink.settings import SinkSettings

    bus, store = loaded.get("bus", BusSettings), loaded.get("store", StoreSettings)
    topics = topics_of(bus)
    expiry.watch(metrics, "mongodb", expiry.named_in(store.url))
    stage = build(store, loaded.get("sink", SinkSettings), metrics)
    return Runner(
        stage,
        open_source(bus.source, read_by_sink(topics), group_of(bus, "sink"), bus),
        open_publisher(bus.sink if bus.sink != PIPE else PIPE, bus, main=None, stage="sink"),
        settings=loaded.get("runner", RunnerSettings),
        topics=topics,
        metrics=RunnerMetrics(stage.name, metrics),
        capacity=stage.capacity,
    )


async def run_stage(
    life: Life, loaded: Loaded, make: Callable[[Policy, Metrics], Runner], name: str, *, sends: bool = True
) -> int:
    """One stage, from its start until its input ends or it is told to stop and has drained. `sends`: it meets targets,
    and heeds orders."""
    metrics = Metrics()
    async with guarded(loaded.get("lists", ListSettings), metrics) as guard:
        runner = make(guard.policy, metrics)
        life.on_stop(runner.stop)
        heed = heed_of(loaded, metrics) if sends else None
        served = loaded.get("metrics", MetricsSettings)
        expiring(loaded, metrics)
        async with (
            watched(served, metrics, {name: lambda: runner.ready}),
            behind(served, [runner]),
            heeded(heed, guard, [runner]),
        ):
            summary = await runner.run()
    log.info(
        "%s: %d taken, %d done, %d answered at intake, %d skipped, %d dead, %d left",
        name, summary.taken, summary.done, summary.answered, summary.skipped, summary.dead, summary.left,
    )  # fmt: skip
    return 0
