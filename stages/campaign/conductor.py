"""The life of campaigns: ask the schedule, have sweeps done, note what was done.

    controls? -> sweep (controls again now and then) -> controls? -> swept -> who answered -> sample -> record -> assess

Each step is noted when it is done. A conductor that was killed anywhere goes on with the same sweep: from the scan's
checkpoint, or with what follows the scan; each of these steps may be done twice. Clock, sleep, randomness, estimate and
where records go come in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from stages.campaign.journal import Journal, SweepRow
from stages.campaign.metrics import CampaignMetrics, Standing
from stages.campaign.mind import Mind
from stages.campaign.plan import Campaign
from stages.campaign.schedule import Decision, Entry, Lane, Past, Turn, decide, due, late
from stages.campaign.sweep import Another, Executor, Job, Report, Stopped, Swept
from stages.core.errors import HostError, LonglineError
from stages.core.records import Scan

log = logging.getLogger("longline.campaign")

#: Seconds between two looks at what operators ask.
LOOK: Final = 1.0

#: Seconds between two signs of life in the journal, which cost a write each.
ALIVE: Final = 5.0

#: Seconds between two looks at the controls while a sweep runs.
CONTROL_EVERY: Final = 600.0

#: Seconds until a sweep that has failed is tried again: doubled each time, up to the second one.
RETRY: Final = 5.0
RETRY_MOST: Final = 600.0

#: The scanner is healthy while more than this share of its controls answers: single ones may be down by themselves.
HEALTHY: Final = 0.5

Sleep = Callable[[float], Awaitable[None]]
Estimate = Callable[..., dict[str, Any]]


@dataclass(slots=True)
class Surroundings:
    """What a conductor takes from the program."""

    executor: Callable[[Campaign, str], Executor]  #: of a vantage
    tell: Callable[[Scan], Awaitable[None]]  #: returns when the record is taken
    assess: Callable[[Campaign, Swept], Awaitable[None]]  #: derives the state of services; may be called again
    ordered: Callable[[str], bool]  #: whether an order stands against this campaign, or may: nothing of it runs
    estimate: Estimate  #: `stages.derive.loss.estimate`
    clock: Callable[[], float]
    sleep: Sleep
    rng: random.Random
    metrics: CampaignMetrics


@dataclass(slots=True)
class _Running:
    since: float
    task: asyncio.Task[str]
    halt: asyncio.Event
    drop: asyncio.Event
    why: str = "stopped"

    def stop(self, why: str) -> None:
        """End the turn. What follows the probes is done to its end all the same where only another sweep waits:
        otherwise short turns would never come to it."""
        if not self.halt.is_set():
            self.why = why
            self.halt.set()
        if why not in ("refresh", "turn"):
            self.drop.set()


class Conductor:
    """Runs campaigns; `run` is its life."""

    def __init__(self, campaigns: Sequence[Campaign], journal: Journal, around: Surroundings) -> None:
        self._campaigns = {campaign.plan.name: campaign for campaign in campaigns}
        self._journal, self._around = journal, around
        self._entries: dict[str, Entry] = {}
        self._running: dict[Lane, _Running] = {}
        self._failures: dict[Lane, tuple[int, float]] = {}  # lane -> (how often, not before)
        self._executors: dict[tuple[str, str], Executor] = {}
        self._told = 0.0  # the last sign of life
        self._ordered: set[str] = set()  # against these an order stands
        self._idle = False  # nothing runs, and nothing is due
        around.metrics.campaigns = {name: Standing() for name in self._campaigns}

    @property
    def ready(self) -> bool:
        """Whether it has its campaigns and looks after them."""
        return bool(self._entries)

    async def run(self, stop: asyncio.Event, *, once: bool = False) -> None:
        """Until `stop`, and then until each sweep has ended its turn at its checkpoint; `once`: until nothing is due.
        Raises HostError if another process runs one of the campaigns, and what is a bug."""
        with ExitStack() as stack:
            for name in self._campaigns:
                stack.enter_context(self._journal.held(name))
            await asyncio.to_thread(self._begin)
            try:
                while not stop.is_set():
                    wake = await self._look()
                    if once and self._idle:
                        break
                    await self._wait(stop, wake)
                for running in self._running.values():
                    running.stop("stopped")
                while self._running:
                    await asyncio.wait([running.task for running in self._running.values()])
                    await self._reap()
            finally:
                left = [running.task for running in self._running.values()]
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)

    # --- the loop

    def _begin(self) -> None:
        now = self._around.clock()
        for name, campaign in self._campaigns.items():
            row = self._journal.register(campaign, now)
            entry = self._entries[name] = Entry(campaign.plan, row.begun, row.paused is not None)
            lanes = set(entry.lanes())
            for sweep in self._journal.open(name):
                if sweep.lane not in lanes:
                    why = "the campaign has no such sweeps any more"
                    self._journal.note(sweep.lane, sweep.number, {**sweep.body, "why": why}, state="given up")
                    log.warning("campaign %s: %s sweep %d is given up: %s", name, sweep.lane.kind, sweep.number, why)
            standing = self._around.metrics.campaigns[name]
            if (full := self._journal.last_full(name)) is not None:
                standing.counters, standing.healthy = full.body["counters"], full.body.get("healthy")
            self._count(campaign)

    async def _look(self) -> float:
        """One look at everything; when the next one is needed."""
        await self._reap()
        now = self._around.clock()
        names = list(self._campaigns)
        ordered = {name for name in names if self._around.ordered(name)}
        if ordered != self._ordered or now - self._told >= ALIVE or now < self._told:
            self._told, self._ordered = now, ordered
            paused = await asyncio.to_thread(self._journal.seen, names, now, ordered)
        else:
            paused = await asyncio.to_thread(self._journal.paused, names)
        for name, entry in self._entries.items():
            rests = paused[name] or name in ordered
            if rests != entry.paused:
                log.info("campaign %s %s", name, "rests" if rests else "goes on")
                self._entries[name] = Entry(entry.plan, entry.begun, rests)
        pasts = await asyncio.to_thread(self._pasts, now)
        for lane, (_, until) in self._failures.items():
            pasts.setdefault(lane, Past()).retry = until
        decision = decide(self._entries, pasts, {lane: each.since for lane, each in self._running.items()}, now)
        for lane, why in decision.stop.items():
            self._running[lane].stop(why)
        for turn in decision.start:
            await self._start(turn, now)
        self._stand(decision, pasts, now)
        return now if decision.start else decision.wake

    def _pasts(self, now: float) -> dict[Lane, Past]:
        """What the schedule has to know; refreshes that have nothing to look at are done."""
        pasts = self._journal.pasts(list(self._campaigns))
        for entry in self._entries.values():
            for lane in entry.lanes():
                if lane.kind == "full" or lane in self._running or not entry.plan.opening.open(now):
                    continue
                turn = due(entry, lane, pasts.get(lane, Past()), now).turn
                if turn is None or turn.resumes or Mind(self._journal.file, entry.plan, lane.vantage).due(now, 1):
                    continue
                self._journal.skip(lane, turn.number, turn.due)
                pasts[lane] = replace(pasts.get(lane, Past()), number=turn.number, due=turn.due)
        return pasts

    async def _wait(self, stop: asyncio.Event, wake: float) -> None:
        seconds = min(LOOK, max(0.0, wake - self._around.clock()))
        stopping = asyncio.create_task(stop.wait())
        sleeping = asyncio.ensure_future(self._around.sleep(seconds))
        tasks = {running.task for running in self._running.values()}
        try:
            await asyncio.wait({stopping, sleeping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            sleeping.cancel()
            await asyncio.gather(stopping, sleeping, return_exceptions=True)

    async def _start(self, turn: Turn, now: float) -> None:
        lane = turn.lane
        await asyncio.to_thread(self._journal.begin, lane, turn.number, turn.due, turn.missed, now)
        if turn.missed:
            log.warning(
                "campaign %s: %d %s sweeps were missed; the one that was due last is done now",
                lane.campaign, turn.missed, lane.kind,
            )  # fmt: skip
            self._around.metrics.missed.add(turn.missed)
        halt, drop = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(self._turn(turn, halt, drop), name=f"{lane.campaign} {lane.kind} {lane.vantage}")
        self._running[lane] = _Running(now, task, halt, drop)

    async def _reap(self) -> None:
        """Note the ends of turns. Raises what is a bug."""
        for lane, running in list(self._running.items()):
            if not running.task.done():
                continue
            del self._running[lane]
            try:
                how = running.task.result() or running.why
                self._failures.pop(lane, None)
            except LonglineError as error:
                how = "failed"
                times = self._failures.get(lane, (0, 0.0))[0] + 1
                wait = min(RETRY_MOST, RETRY * 2 ** (times - 1))
                self._failures[lane] = (times, self._around.clock() + wait)
                log.warning("campaign %s: %s sweep: %s; again in %.0f s", lane.campaign, lane.kind, error, wait)
            await asyncio.to_thread(self._journal.end, lane, how, self._around.clock())
            counter = self._around.metrics.full if lane.kind == "full" else self._around.metrics.known
            counter.add(1, how)
            log.info("campaign %s: a turn of its %s sweep from %s ended: %s", *_words(lane), how)

    # --- one turn

    async def _turn(self, turn: Turn, halt: asyncio.Event, drop: asyncio.Event) -> str:
        """`complete`, `given up`, or empty: it was told to stop."""
        around, journal, lane = self._around, self._journal, turn.lane
        campaign = self._campaigns[lane.campaign]
        mind = Mind(journal.file, campaign.plan, lane.vantage)
        row: SweepRow = await asyncio.to_thread(journal.sweep, lane, turn.number)
        body = row.body
        body.setdefault("started", around.clock())
        if lane.kind == "known" and not body.get("chosen"):
            await asyncio.to_thread(mind.choose, turn.number, around.clock())
            body["chosen"] = True
        await asyncio.to_thread(journal.note, lane, turn.number, body)
        pairs = await asyncio.to_thread(mind.chosen, turn.number) if lane.kind == "known" else None
        job = Job(campaign, turn, pairs)
        executor = self._executor(campaign, lane.vantage)
        if row.state == "open":
            try:
                done = await self._probe(job, executor, body, halt)
            except (Another, Stopped) as error:
                body["why"] = str(error)
                state = "changed" if isinstance(error, Another) else "given up"
                await asyncio.to_thread(journal.note, lane, turn.number, body, state=state)
                await executor.end(job)
                log.warning("campaign %s: %s sweep %d is given up: %s", lane.campaign, lane.kind, turn.number, error)
                return "given up"
            if not done:
                await asyncio.to_thread(journal.note, lane, turn.number, body)
                if not halt.is_set():
                    raise HostError("it ended before its end")
                return ""
            body["ended"] = around.clock()
            await asyncio.to_thread(journal.note, lane, turn.number, body, state="swept")
        if not await _unless(drop, self._settle(job, executor, mind, body, drop)):
            return ""
        await asyncio.to_thread(journal.note, lane, turn.number, body, state="complete")
        await executor.end(job)
        return "complete"

    async def _probe(self, job: Job, executor: Executor, body: dict[str, Any], halt: asyncio.Event) -> bool:
        """The sweep itself. Returns whether it is complete."""
        await self._controls(job, executor, body)
        if halt.is_set():
            return False
        watch = asyncio.create_task(self._watch(job, executor, body), name="controls")
        try:
            report = await executor.sweep(job, halt)
        finally:
            watch.cancel()
            [ended] = await asyncio.gather(watch, return_exceptions=True)
        if isinstance(ended, Exception):  # a bug: it looks until it is cancelled
            raise ended
        before = body.get("report", {})
        total = {
            "icmp": before.get("icmp", 0) + report.icmp,
            "by_hour": _added(before.get("by_hour", {}), report.by_hour),
        }
        body["report"] = report.body() | total
        await self._controls(job, executor, body)
        return report.complete

    async def _watch(self, job: Job, executor: Executor, body: dict[str, Any]) -> None:
        while True:
            await self._around.sleep(CONTROL_EVERY)
            await self._controls(job, executor, body)

    async def _controls(self, job: Job, executor: Executor, body: dict[str, Any]) -> None:
        """One look at the known responders."""
        asked = len(job.plan.pairs)
        if not asked:
            return
        try:
            answered = await executor.controls(job)
        except LonglineError as error:
            log.warning("campaign %s: the controls cannot be asked: %s", job.plan.name, error)
            answered = 0
        looks = body.setdefault("controls", {"asked": 0, "answered": 0, "looks": 0, "bad": 0})
        looks["asked"] += asked
        looks["answered"] += answered
        looks["looks"] += 1
        if answered <= asked * HEALTHY:
            looks["bad"] += 1
            log.warning("campaign %s: %d of %d controls answer at %s", *_few(job, answered, asked))

    async def _settle(
        self, job: Job, executor: Executor, mind: Mind, body: dict[str, Any], drop: asyncio.Event
    ) -> None:
        """What follows a complete sweep. May be broken off anywhere, and done again."""
        around, lane = self._around, job.lane
        async for some in executor.seen(job):
            await asyncio.to_thread(mind.saw, some, body["started"])
        looks = body.get("controls")
        healthy = None if looks is None else looks["bad"] == 0
        if healthy is not False:  # a broken line says nothing about who is gone
            await asyncio.to_thread(mind.missed, job.pairs, body["started"])
        report = Report(**body["report"])
        if lane.kind == "full" and job.plan.sample and "sample" not in body:
            sample = await executor.sample(job, report, around.rng.getrandbits(64), drop)
            if drop.is_set():
                return
            body["sample"] = None if sample is None else [sample.probed, sample.found, sample.both]
            await asyncio.to_thread(self._journal.note, lane, job.turn.number, body)
        sample_of = body.get("sample")
        counters = around.estimate(
            found=report.found, sent=report.sent, icmp=report.icmp,
            sample=None if sample_of is None else tuple(sample_of),
            controls=(0, 0) if looks is None else (looks["asked"], looks["answered"]), by_hour=report.by_hour,
        )  # fmt: skip
        body["counters"], body["healthy"] = counters, healthy
        started, ended = round(body["started"] * 1e6), round(body["ended"] * 1e6)
        spec = {
            "campaign": job.plan.name, "sweep": lane.kind, "number": job.turn.number, "vantage": lane.vantage,
            "due": job.turn.due, "missed": job.turn.missed, "started": body["started"], "ended": body["ended"],
            "complete": True, "healthy": healthy, "approval": job.plan.approval,
        }  # fmt: skip
        record = Scan(
            job.name, ended, "assessed", vantage=lane.vantage, spec=spec, counters=counters, position=report.position
        )
        await around.tell(record)
        covers = await asyncio.to_thread(executor.covers, job)
        await around.assess(job.campaign, Swept(job.name, lane.vantage, started, ended, bool(healthy), True, covers))
        standing = around.metrics.campaigns[job.plan.name]
        standing.healthy = healthy
        if lane.kind == "full":
            standing.counters = counters
        await asyncio.to_thread(self._count, job.campaign)

    # --- within

    def _executor(self, campaign: Campaign, vantage: str) -> Executor:
        key = (campaign.plan.name, vantage)
        if key not in self._executors:
            self._executors[key] = self._around.executor(campaign, vantage)
        return self._executors[key]

    def _count(self, campaign: Campaign) -> None:
        counts = [Mind(self._journal.file, campaign.plan, vantage).count() for vantage in campaign.plan.vantages]
        standing = self._around.metrics.campaigns[campaign.plan.name]
        standing.known, standing.gone = sum(count[0] for count in counts), sum(count[1] for count in counts)

    def _stand(self, decision: Decision, pasts: Mapping[Lane, Past], now: float) -> None:
        """Bring the metrics up to date."""
        self._idle = not self._running
        for name, entry in self._entries.items():
            standing = self._around.metrics.campaigns[name]
            standing.running = sum(lane.campaign == name for lane in self._running)
            standing.paused = entry.paused
            stands = [
                due(entry, lane, pasts.get(lane, Past()), now) for lane in entry.lanes() if lane not in self._running
            ]
            standing.late = max(
                (now - each.turn.due for each in stands if each.turn is not None and not each.turn.resumes), default=0.0
            )
            standing.windows = max(
                (late(entry, lane, pasts.get(lane, Past()), now) for lane in entry.lanes()), default=0
            )
            self._idle = self._idle and not any(each.turn for each in stands)
            standing.next = min((each.next for each in stands), default=0.0)


async def _unless(drop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do it, unless `drop` comes. Returns whether it was done."""
    task, dropped = asyncio.create_task(work), asyncio.create_task(drop.wait())
    try:
        await asyncio.wait((task, dropped), return_when=asyncio.FIRST_COMPLETED)
        if drop.is_set():
            return False
        task.result()
        return True
    finally:
        for each in (task, dropped):
            each.cancel()
        await asyncio.gather(task, dropped, return_exceptions=True)


def _words(lane: Lane) -> tuple[str, str, str]:
    return lane.campaign, lane.kind, lane.vantage


def _few(job: Job, answered: int, asked: int) -> tuple[str, int, int, str]:
    return job.plan.name, answered, asked, job.lane.vantage


def _added(before: Mapping[str, Sequence[int]], now: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    total = {hour: list(pair) for hour, pair in before.items()}
    for hour, (sent, found) in now.items():
        old = total.get(hour, [0, 0])
        total[hour] = [old[0] + sent, old[1] + found]
    return total
