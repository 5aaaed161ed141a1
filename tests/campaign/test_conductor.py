"""The conductor over a journal that is real and sweeps that are played; a minute goes by in a second."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stages.campaign import conductor as conductors
from stages.campaign.conductor import Conductor, Surroundings
from stages.campaign.journal import Journal
from stages.campaign.metrics import CampaignMetrics
from stages.campaign.mind import Mind
from stages.campaign.plan import Campaign
from stages.campaign.schedule import Lane
from stages.campaign.sweep import Another, Covers, Job, Pair, Report, Sample, Stopped, Swept
from stages.core.errors import HostError, Unavailable
from stages.core.metrics import Metrics
from stages.core.records import Scan
from stages.derive.loss import estimate
from tests.campaign.material import T0, campaign

SPEED = 60.0
BEGAN = time.monotonic()
FULL, KNOWN = Lane("a", "full", "local"), Lane("a", "known", "local")
WEB, MAIL = ("10.0.0.1", 80), ("10.0.0.2", 80)


@dataclass
class Town:
    """What sweeps find, and what befalls them."""

    open: dict[Pair, str] = field(default_factory=lambda: {WEB: "up", MAIL: "up"})
    takes: dict[str, float] = field(default_factory=lambda: {"full": 20.0, "known": 2.0})
    done: dict[str, float] = field(default_factory=dict)  #: sweep -> seconds of it that its checkpoint has
    alone: bool = True
    answering: int | None = None  #: controls; None: all
    broken: list[Exception] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    pairs: dict[str, Any] = field(default_factory=dict)
    now: int = 0
    slow_sample: bool = False
    sampled: int = 0


class Played:
    """An executor."""

    def __init__(self, town: Town, campaign: Campaign) -> None:
        self.town, self.campaign = town, campaign

    async def sweep(self, job: Job, stop: asyncio.Event) -> Report:
        town = self.town
        town.now += 1
        town.alone = town.alone and town.now == 1
        town.ran.append(job.name)
        town.pairs[job.name] = job.pairs
        try:
            if town.broken:
                raise town.broken.pop(0)
            while town.done.setdefault(job.name, 0.0) < town.takes[job.lane.kind] and not stop.is_set():
                await asyncio.sleep(0.5 / SPEED)
                town.done[job.name] += 0.5
            complete = town.done[job.name] >= town.takes[job.lane.kind]
            return Report(complete, round(town.done[job.name]), 256, 256, len(town.open), 3, {"0": [100, 1]})
        finally:
            town.now -= 1

    async def controls(self, job: Job) -> int:
        return len(job.plan.pairs) if self.town.answering is None else self.town.answering

    async def sample(self, job: Job, report: Report, seed: int, stop: asyncio.Event) -> Sample | None:
        self.town.sampled += 1
        if self.town.slow_sample:
            await asyncio.sleep(3_600)
        return Sample(100, 50, 49)

    def covers(self, job: Job) -> Covers:
        return lambda address, port, transport: port == 80

    async def seen(self, job: Job) -> AsyncIterator[list[tuple[Pair, str]]]:
        yield [(pair, state) for pair, state in self.town.open.items() if job.pairs is None or pair in job.pairs]

    async def end(self, job: Job) -> None:
        self.town.ended.append(job.name)


class Life:
    """A conductor that runs; `end` it, or `kill` it."""

    def __init__(self, path: Path, town: Town, *campaigns: Campaign, once: bool = False) -> None:
        self.journal = Journal(path)
        self.town = town
        self.ordered = False
        self.told: list[Scan] = []
        self.swept: list[Swept] = []
        self.metrics = CampaignMetrics(Metrics())
        self.clock: Callable[[], float] = lambda: T0 + (time.monotonic() - BEGAN) * SPEED
        around = Surroundings(
            executor=lambda campaign, vantage: Played(town, campaign),
            tell=self._tell,
            assess=self._assess,
            ordered=lambda name: self.ordered,
            estimate=estimate,
            clock=self.clock,
            sleep=lambda seconds: asyncio.sleep(seconds / SPEED),
            rng=random.Random(1),
            metrics=self.metrics,
        )
        self.conductor = Conductor(campaigns or (campaign(known_every=10, full_every=40),), self.journal, around)
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self.conductor.run(self.stop, once=once))

    async def _tell(self, record: Scan) -> None:
        self.told.append(record)

    async def _assess(self, campaign: Campaign, swept: Swept) -> None:
        self.swept.append(swept)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, what
            if self.task.done():
                self.task.result()
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        self.stop.set()
        await self.task
        self.journal.close()

    async def kill(self) -> None:
        """As a signal would: nothing is noted any more."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.journal.close()

    def hows(self, lane: Lane) -> list[str]:
        return [turn.how for turn in self.journal.turns("a") if turn.lane == lane]


async def test_full_sweeps_and_refreshes_take_turns(tmp_path: Path) -> None:
    life = Life(tmp_path / "c.db", Town())
    await life.until(lambda: life.hows(FULL).count("complete") >= 2, "two full sweeps")
    await life.until(lambda: life.hows(KNOWN).count("complete") >= 2, "two refreshes")
    hows = life.hows(FULL)
    await life.end()
    assert life.town.alone
    assert life.town.ran[0] == "a-full-000001"
    assert any("known" in name for name in life.town.ran)
    assert all(pairs for name, pairs in life.town.pairs.items() if "known" in name), "none that looks at nothing"
    assert "refresh" in hows, "a full sweep was interrupted and went on"
    first = next(record for record in life.told if record.scan == "a-full-000001")
    assert first.spec is not None
    assert first.counters is not None
    assert (first.event, first.spec["sweep"], first.spec["complete"], first.spec["healthy"]) == (
        "assessed", "full", True, None,
    )  # fmt: skip
    assert first.counters["loss"] == pytest.approx(0.02)
    assert first.counters["icmp"] == 3
    assert life.metrics.campaigns["a"].counters["loss"] == pytest.approx(0.02)
    assert life.metrics.campaigns["a"].known == 2
    assert life.metrics.full.value("complete") >= hows.count("complete")
    swept = {each.scan: each for each in life.swept}["a-full-000001"]
    assert (swept.complete, swept.healthy, swept.covers(b"", 80, "tcp")) == (True, False, True)
    assert set(life.town.ended) >= {"a-full-000001", "a-full-000002"}


async def test_killed_anywhere_the_same_sweep_goes_on(tmp_path: Path) -> None:
    town, path = Town(takes={"full": 20.0, "known": 5.0}), tmp_path / "c.db"
    rng = random.Random(5)
    for _ in range(12):
        life = Life(path, town, campaign(full_every=10_000))
        await asyncio.sleep(rng.random() * 0.1)  # anywhere: nothing is waited for
        await life.kill()
        town.now = 0
    life = Life(path, town, campaign(full_every=10_000))
    await life.until(lambda: life.journal.newest("a") and life.journal.newest("a")[0].state == "complete", "the end")
    await life.end()
    assert set(town.ran) == {"a-full-000001"}, "one sweep, however often it was begun"
    turns = Journal(path).turns("a")
    assert all(one.ended is not None and one.ended <= other.began for one, other in itertools.pairwise(turns))
    assert {turn.how for turn in turns[:-1]} <= {"killed"}
    assert turns[-1].how == "complete"


async def test_a_pause_is_seen_and_so_is_its_end(tmp_path: Path) -> None:
    life = Life(tmp_path / "c.db", Town(takes={"full": 60.0, "known": 1.0}), campaign(full_every=10_000))
    await life.until(lambda: life.town.ran, "it runs")
    operator = Journal(tmp_path / "c.db", make=False)
    operator.pause("a", T0)
    await life.until(lambda: life.hows(FULL) == ["paused"], "it is paused")
    assert life.metrics.campaigns["a"].paused
    done = life.town.done["a-full-000001"]
    operator.pause("a", None)
    operator.close()
    await life.until(lambda: len(life.hows(FULL)) == 2, "it goes on")
    await life.until(lambda: life.hows(FULL)[1] == "complete", "to its end")
    await life.end()
    assert 0 < done < 60
    assert life.town.ran == ["a-full-000001"] * 2


async def test_an_order_holds_it_like_a_pause(tmp_path: Path) -> None:
    life = Life(tmp_path / "c.db", Town(takes={"full": 60.0, "known": 1.0}), campaign(full_every=10_000))
    await life.until(lambda: life.town.ran, "it runs")
    life.ordered = True
    await life.until(lambda: life.hows(FULL) == ["paused"], "it rests")
    life.ordered = False
    await life.until(lambda: len(life.hows(FULL)) == 2 and life.hows(FULL)[1] == "complete", "it goes on to its end")
    await life.end()


async def test_a_bug_in_a_look_at_the_controls_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()

    async def controls(_: Played, job: Job) -> int:
        if next(looks) == 1:
            raise KeyError("a bug")
        return 1

    monkeypatch.setattr(Played, "controls", controls)
    monkeypatch.setattr(conductors, "CONTROL_EVERY", 5.0)
    life = Life(tmp_path / "c.db", Town(), campaign(full_every=10_000, controls=["10.0.0.9:80"]))
    with pytest.raises(KeyError, match="a bug"):
        await life.until(lambda: life.told, "the sweep ends")
    life.journal.close()


async def test_controls_that_do_not_answer_make_a_sweep_unhealthy(tmp_path: Path) -> None:
    controls = {"controls": ["10.0.0.9:80", "10.0.0.8:80"]}
    life = Life(tmp_path / "c.db", Town(answering=1), campaign(full_every=10_000, **controls))
    await life.until(lambda: life.swept, "the end")
    await life.end()
    assert life.swept[0].healthy is False
    assert life.told[0].spec is not None
    assert life.told[0].spec["healthy"] is False
    assert life.told[0].counters is not None
    assert (life.told[0].counters["controls"], life.told[0].counters["controls_answered"]) == (4, 2)
    whole = Life(tmp_path / "d.db", Town(), campaign(full_every=10_000, **controls))
    await whole.until(lambda: whole.swept, "the end")
    await whole.end()
    assert whole.swept[0].healthy is True


async def test_who_is_gone_is_looked_for_unless_the_line_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conductors, "CONTROL_EVERY", 1e6)
    town = Town(takes={"full": 1.0, "known": 1.0})
    life = Life(tmp_path / "c.db", town, campaign(full_every=1_000, known_every=5, controls=["10.0.0.9:80"]))
    mind = Mind(life.journal.file, campaign(full_every=1_000, known_every=5).plan, "local")
    await life.until(lambda: mind.count() == (2, 0), "both are known")
    town.answering = 0
    sweeps = len(life.swept)
    del town.open[MAIL]
    await life.until(lambda: len(life.swept) >= sweeps + 2, "refreshes over a broken line")
    assert mind.count() == (2, 0)
    town.answering = None
    await life.until(lambda: mind.count() == (1, 1), "one is gone")
    town.open[MAIL] = "up"
    await life.until(lambda: mind.count() == (2, 0), "and back")
    await life.end()


async def test_what_fails_is_tried_again_and_what_is_another_is_given_up(tmp_path: Path) -> None:
    town = Town(takes={"full": 1.0, "known": 1.0}, broken=[Unavailable("no broker"), HostError("no route")])
    life = Life(tmp_path / "c.db", town, campaign(full_every=1_000))
    await life.until(lambda: life.hows(FULL) == ["failed", "failed", "complete"], "the third time")
    await life.end()
    assert town.ran == ["a-full-000001"] * 3
    for error, state, every in ((Another("other targets"), "changed", 10_000), (Stopped("enough"), "given up", 30)):
        town.broken = [error]
        path = tmp_path / f"{state}.db"
        life = Life(path, town, campaign(full_every=every))
        await life.until(lambda life=life: "complete" in life.hows(FULL), "the next one")
        await life.end()
        journal = Journal(path)
        assert {row.number: row.state for row in journal.newest("a")}[1] == state
        assert journal.sweep(FULL, 1).body["why"] == str(error)
        assert (journal.sweep(FULL, 2).due == journal.sweep(FULL, 1).due) is (state == "changed"), (
            "at once, or in its time"
        )
        journal.close()


async def test_once_is_until_nothing_is_due(tmp_path: Path) -> None:
    town = Town(takes={"full": 1.0, "known": 1.0})
    life = Life(tmp_path / "c.db", town, campaign(full_every=10_000, known_every=10), once=True)
    await life.task
    assert life.hows(FULL) == ["complete"]
    life.journal.close()
    life = Life(tmp_path / "c.db", town, campaign(full_every=10_000), once=True)
    await life.task
    assert town.ran.count("a-full-000001") == 1, "it is not due again"
    life.journal.close()


async def test_what_follows_the_probes_is_broken_off_and_done_again(tmp_path: Path) -> None:
    town = Town(takes={"full": 1.0, "known": 1.0}, slow_sample=True)
    life = Life(tmp_path / "c.db", town, campaign(full_every=10_000))
    await life.until(lambda: town.sampled, "the sample is under way")
    assert life.journal.sweep(FULL, 1).state == "swept"
    await life.end()
    assert life.swept == []
    town.slow_sample = False
    life = Life(tmp_path / "c.db", town, campaign(full_every=10_000))
    await life.until(lambda: life.swept, "the end")
    await life.until(lambda: life.hows(FULL) == ["stopped", "complete"], "it is noted")
    await life.end()
    assert town.ran == ["a-full-000001"], "no probe is sent again"


async def test_a_bug_ends_it(tmp_path: Path) -> None:
    life = Life(tmp_path / "c.db", Town(broken=[ZeroDivisionError()]))
    with pytest.raises(ZeroDivisionError):
        await life.task
    life.journal.close()


async def test_a_second_conductor_is_refused(tmp_path: Path) -> None:
    life = Life(tmp_path / "c.db", Town())
    await life.until(lambda: life.town.ran, "it runs")
    with pytest.raises(HostError, match="another process"):
        await Life(tmp_path / "c.db", Town()).task
    life.journal.close()
    await life.end()


async def test_sweeps_of_a_vantage_that_is_no_longer_there_are_given_up(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    life = Life(path, Town(takes={"full": 100.0, "known": 1.0}), campaign(vantages=["local", "alice"]))
    await life.until(lambda: len(set(life.town.ran)) == 2, "both run")
    await life.kill()
    life = Life(path, Town(), campaign(vantages=["alice"]))
    await life.until(lambda: life.town.ran, "it goes on")
    assert life.journal.sweep(FULL, 1).state == "given up"
    await life.end()
    assert set(life.town.ran) == {"a-full-alice-000001"}
