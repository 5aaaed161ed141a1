from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from stages.core import flow as flow_module
from stages.core.bus.base import Chunk, Output
from stages.core.bus.memory import MemoryBus, MemorySource
from stages.core.errors import Fused, HostError, Unavailable
from stages.core.job import Job
from stages.core.orders import Order, Standing
from stages.core.politeness import Gate, Limits
from stages.core.runner import Runner, Summary
from stages.core.settings import RunnerSettings
from tests.core.echo import TOPICS, Echo, hit

SETTINGS = RunnerSettings(flush_age=0.005, drain_deadline=5.0)


class Pipe:
    """A source that ends, as standard input does."""

    ready = True

    def __init__(self, lines: list[bytes], chunk: int = 10) -> None:
        self._chunks = [Chunk("stdin", 0, i, i + chunk, lines[i : i + chunk]) for i in range(0, len(lines), chunk)]
        self.committed = 0
        self.started = self.closed = False

    @property
    def ended(self) -> bool:
        return not self._chunks

    async def start(self, on_revoke: object) -> None:
        self.started = True

    async def poll(self, max_records: int, timeout: float) -> list[Chunk]:
        return [self._chunks.pop(0)] if self._chunks and max_records else []

    async def commit(self, positions: Mapping[Any, int]) -> None:
        self.committed = max(positions.values())

    async def lag(self) -> int:
        return len(self._chunks)

    async def close(self) -> None:
        self.closed = True


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(runner: Runner) -> AsyncIterator[asyncio.Task[Summary]]:
    task = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        runner.stop()
        await asyncio.gather(task, return_exceptions=True)


def make(bus: MemoryBus, stage: Echo, settings: RunnerSettings = SETTINGS, **kw: Any) -> Runner:
    source: MemorySource = kw.pop("source", None) or bus.source([TOPICS.hits], "echo")
    return Runner(stage, source, bus.publisher(), settings=settings, topics=TOPICS, **kw)


async def numbered(bus: MemoryBus, n: int) -> list[bytes]:
    outputs = [hit(i, f"10.0.{i % 50}.1") for i in range(n)]
    await bus.publisher().publish(outputs)
    return [output.value for output in outputs]


async def test_a_pipe_runs_to_its_end() -> None:
    lines = [b"10.0.0.%d %d" % (n % 200, n) for n in range(1000)]
    pipe, bus, stage = Pipe(lines), MemoryBus(2), Echo()
    runner = Runner(stage, pipe, bus.publisher(), settings=SETTINGS, topics=TOPICS, capacity=50)
    summary = await asyncio.wait_for(runner.run(), 20)
    assert sorted(bus.lines(TOPICS.banners)) == sorted(lines)
    assert summary == Summary(taken=1000, skipped=0, answered=0, done=1000, dead=0, later=0, left=0)
    assert pipe.committed == 1000
    assert stage.started
    assert stage.closed
    assert pipe.closed
    assert stage.most <= 50


async def test_an_empty_pipe_ends_at_once() -> None:
    runner = Runner(Echo(), Pipe([]), MemoryBus().publisher(), settings=SETTINGS, topics=TOPICS)
    assert (await asyncio.wait_for(runner.run(), 10)).taken == 0


async def test_a_log_is_consumed_and_committed() -> None:
    bus, stage = MemoryBus(4), Echo()
    lines = await numbered(bus, 500)
    runner = make(bus, stage)
    async with running(runner) as task:
        await until(lambda: runner.idle and bus.lag("echo") == 0)
        assert runner.ready
        assert await runner.lag() == 0
        runner.stop()
        summary = await task
    assert sorted(bus.lines(TOPICS.banners)) == sorted(lines)
    assert summary.done == 500
    assert summary.left == 0
    assert not runner.ready


async def test_results_are_published_before_their_input_is_committed() -> None:
    bus, stage = MemoryBus(1), Echo()
    lines = await numbered(bus, 200)
    bus.fail("commit", 3)
    bus.fail("publish", 2, after=True)
    runner = make(bus, stage)
    async with running(runner):
        await until(lambda: runner.ready and bus.lag("echo") == 0)
    assert set(bus.lines(TOPICS.banners)) == set(lines)  # at least once
    assert runner.metrics.retries.value("settle") == 5


async def test_a_crash_loses_nothing() -> None:
    bus = MemoryBus(2)
    lines = await numbered(bus, 300)
    first = Echo(hold=True)
    runner = make(bus, first, capacity=100)
    async with running(runner) as task:
        await until(lambda: len(first.held) == 100)
        first.finish(lambda job: int(job.record[1]) % 3 == 0)
        await until(lambda: bus.messages(TOPICS.banners))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    runner = make(bus, Echo())
    async with running(runner):
        await until(lambda: runner.ready and bus.lag("echo") == 0)
    assert set(bus.lines(TOPICS.banners)) == set(lines)


async def test_stop_finishes_what_is_in_flight_and_begins_nothing_more() -> None:
    bus, stage = MemoryBus(1), Echo(hold=True)
    await numbered(bus, 100)
    runner = make(bus, stage, capacity=10)
    async with running(runner) as task:
        await until(lambda: len(stage.held) == 10)
        runner.stop()
        await asyncio.sleep(0)
        assert not task.done()
        stage.finish()
        summary = await asyncio.wait_for(task, 5)
    assert len(stage.begun) == 10
    assert len(bus.lines(TOPICS.banners)) == 10
    assert summary.done == 10
    assert summary.left == 90
    assert bus.committed("echo") == {(TOPICS.hits, 0): 10}
    assert not stage.cancelled


async def test_what_does_not_end_by_the_deadline_is_dropped_and_comes_again() -> None:
    bus, stage = MemoryBus(1), Echo(hold=True)
    await numbered(bus, 10)
    runner = make(bus, stage, RunnerSettings(flush_age=0.005, drain_deadline=0.2))
    async with running(runner) as task:
        await until(lambda: len(stage.held) == 10)
        stage.finish(lambda job: int(job.record[1]) < 4)
        await until(lambda: len(bus.lines(TOPICS.banners)) == 4)
        runner.stop()
        summary = await asyncio.wait_for(task, 10)
    assert stage.cancelled
    assert summary.left == 6
    assert bus.lag("echo") == 6


async def test_a_drain_ends_by_its_deadline_also_when_nothing_is_acknowledged() -> None:
    bus, stage = MemoryBus(1), Echo(hold=True)
    await numbered(bus, 5)
    runner = make(bus, stage, RunnerSettings(flush_age=0.005, drain_deadline=0.2))
    async with running(runner) as task:
        await until(lambda: len(stage.held) == 5)
        with bus.outage():
            stage.finish()
            runner.stop()
            summary = await asyncio.wait_for(task, 10)
    assert summary.left == 5
    assert bus.committed("echo") == {}
    assert bus.lines(TOPICS.banners) == []


async def test_stop_while_the_bus_cannot_be_reached() -> None:
    bus = MemoryBus(1)
    with bus.outage():
        runner = make(bus, Echo())
        async with running(runner) as task:
            await asyncio.sleep(0)
            assert not runner.ready
            runner.stop()
            assert (await asyncio.wait_for(task, 5)).taken == 0


async def test_intake_pauses_above_high_water_and_resumes() -> None:
    bus, stage = MemoryBus(1), Echo(hold=True)
    lines = await numbered(bus, 100)
    settings = RunnerSettings(flush_age=0.005, high_water=20, low_water=10)
    runner = make(bus, stage, settings, capacity=5)
    async with running(runner):
        await until(lambda: runner.paused)
        assert runner.metrics.taken.total == 20
        stage.hold = False
        stage.finish()
        await until(lambda: runner.ready and bus.lag("echo") == 0)
    assert not runner.paused
    assert sorted(bus.lines(TOPICS.banners)) == sorted(lines)


async def test_one_slow_record_holds_the_span_but_not_the_others() -> None:
    bus, stage = MemoryBus(1), Echo(hold=True)
    await numbered(bus, 100)
    settings = RunnerSettings(flush_age=0.005, span=30)
    runner = make(bus, stage, settings, capacity=1000)
    async with running(runner):
        await until(lambda: stage.held)
        done = 0
        while done < 29:
            stage.finish(lambda job: job.record[1] != "0")
            await asyncio.sleep(0.005)
            done = len(bus.lines(TOPICS.banners))
        assert bus.committed("echo") == {}
        await until(lambda: runner.paused)
        taken = runner.metrics.taken.total
        assert 30 <= taken <= 100
        stage.hold = False
        stage.finish()
        await until(lambda: runner.ready and bus.lag("echo") == 0)


async def test_an_outage_of_the_bus_shows_and_loses_nothing() -> None:
    bus, stage = MemoryBus(1), Echo(hold=True)
    lines = await numbered(bus, 50)
    runner = make(bus, stage)
    async with running(runner):
        await until(lambda: len(stage.held) == 50)
        with bus.outage():
            stage.finish()
            await until(lambda: runner.metrics.retries.value("settle"))
            assert not runner.ready
        await until(lambda: runner.ready and bus.lag("echo") == 0)
        assert runner.ready
    assert sorted(bus.lines(TOPICS.banners)) == sorted(lines)


async def test_a_failing_poll_is_tried_again() -> None:
    bus, stage = MemoryBus(1), Echo()
    bus.fail("poll", 2)
    await numbered(bus, 5)
    runner = make(bus, stage)
    async with running(runner):
        await until(lambda: runner.ready and bus.lag("echo") == 0)
    assert runner.metrics.retries.value("poll") == 2


@pytest.mark.parametrize("step", ["poll", "commit"])
async def test_an_error_for_good_stops_the_stage(step: Any) -> None:
    bus, stage = MemoryBus(1), Echo()
    bus.fail(step, 1, error=lambda text: HostError(f"disk full: {text}"))
    await numbered(bus, 5)
    with pytest.raises(HostError, match="disk full"):
        await asyncio.wait_for(make(bus, stage).run(), 10)
    assert stage.closed


async def test_a_stage_that_cannot_start() -> None:
    class Broken(Echo):
        async def start(self) -> None:
            raise HostError("interface down")

    stage = Broken()
    with pytest.raises(HostError, match="interface down"):
        await make(MemoryBus(1), stage).run()
    assert stage.closed


async def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on() -> None:
    bus, stage = MemoryBus(2), Echo()
    lines = await numbered(bus, 300)
    bad = [b"{bad %d \xff" % n for n in range(50)]
    await bus.publisher().publish([Output(TOPICS.hits, b"%d" % n, line) for n, line in enumerate(bad)])
    runner = make(bus, stage)
    async with running(runner):
        await until(lambda: runner.ready and bus.lag("echo") == 0)
    assert sorted(bus.lines(TOPICS.banners)) == sorted(lines)
    letters = bus.messages(TOPICS.dead)
    assert sorted(letter.value for letter in letters) == sorted(bad)
    assert {letter.headers["reason"] for letter in letters if letter.headers} == {b"undecodable"}


async def test_the_fuse_stops_the_stage_after_settling_what_is_done() -> None:
    bus = MemoryBus(1)
    await bus.publisher().publish([Output(TOPICS.hits, b"", b"{bad %d" % n) for n in range(5000)])
    runner = make(bus, Echo(), RunnerSettings(flush_age=0.005, high_water=1500, low_water=500))
    with pytest.raises(Fused):
        await asyncio.wait_for(runner.run(), 10)
    dead = len(bus.messages(TOPICS.dead))
    assert 1000 <= dead < 5000
    assert bus.committed("echo") == {(TOPICS.hits, 0): dead}


async def test_local_limits_lower_the_concurrency_and_store_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "LOCAL_FIRST", 0.01)
    monkeypatch.setattr(flow_module, "LOCAL_CEILING", 0.1)
    bus, stage = MemoryBus(2), Echo()
    stage.local_until = 5
    lines = await numbered(bus, 200)
    runner = make(bus, stage, RunnerSettings(flush_age=0.005, local_tries=50), capacity=64)
    async with running(runner):
        await until(lambda: runner.ready and bus.lag("echo") == 0, 30)
        assert runner.capacity < 64
    assert sorted(bus.lines(TOPICS.banners)) == sorted(lines)
    assert runner.metrics.retries.value("local") > 0


async def test_local_limits_for_ever_stop_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "LOCAL_FIRST", 0.001)
    bus, stage = MemoryBus(1), Echo()

    def refuse(jobs: Any) -> None:
        for job in jobs:
            job.local("EMFILE")
        jobs.clear()

    stage.on_take = refuse
    await numbered(bus, 3)
    with pytest.raises(HostError, match="EMFILE"):
        await asyncio.wait_for(make(bus, stage).run(), 10)
    assert bus.lines(TOPICS.banners) == []
    assert bus.lag("echo") == 3


async def test_politeness_holds_and_everything_is_done() -> None:
    bus, stage = MemoryBus(2), Echo()
    outputs = [hit(n, f"10.0.0.{n % 3}") for n in range(90)]
    await bus.publisher().publish(outputs)
    runner = make(bus, stage, gate=Gate[Job](Limits(per_host=2, rate=2000)))
    async with running(runner):
        await until(lambda: runner.ready and bus.lag("echo") == 0)
    assert max(stage.most_per_host.values()) <= 2
    assert len(bus.lines(TOPICS.banners)) == 90


async def test_what_is_put_off_comes_back_when_it_is_due_and_does_not_hold_up_the_partition() -> None:
    bus, stage = MemoryBus(1), Echo(hold=True)
    now = 1_700_000_000.0
    clock = {"now": now}
    due = int((now + 100) * 1e6)
    await bus.publisher().publish([hit(1, word=f"later {due}"), hit(2)])
    runner = make(bus, stage, later=bus.source([TOPICS.later("echo")], "echo.later"), clock=lambda: clock["now"])
    async with running(runner):
        await until(lambda: len(stage.held) == 2)
        stage.finish()
        await until(lambda: runner.ready and bus.lag("echo") == 0)
        await until(lambda: bus.lag("echo.later") == 1)
        assert len(stage.begun) == 2
        await bus.publisher().publish([hit(3)])
        await until(lambda: len(stage.held) == 1)
        stage.finish()
        await until(lambda: runner.ready and bus.lag("echo") == 0)
        assert runner.waiting == 0
        assert not runner.idle  # it is held
    clock["now"] = now + 101  # another worker, later
    stage = Echo(hold=True)
    runner = make(bus, stage, later=bus.source([TOPICS.later("echo")], "echo.later"), clock=lambda: clock["now"])
    async with running(runner):
        await until(lambda: stage.held)
        (job,) = stage.held
        stage.held.clear()
        job.done([Output(TOPICS.banners, b"", job.line)])
        await until(lambda: bus.lag("echo.later") == 0)
    assert sorted(line.split()[1] for line in bus.lines(TOPICS.banners)) == [b"1", b"2", b"3"]


async def test_a_crowded_network_overflows_into_the_later_topic() -> None:
    bus, stage = MemoryBus(1), Echo()
    await bus.publisher().publish([hit(n, f"10.0.0.{n}") for n in range(100)] + [hit(n, "10.9.9.9") for n in range(5)])
    gate: Gate[Job] = Gate(Limits(per_prefix=20))
    runner = make(bus, stage, gate=gate, later=bus.source([TOPICS.later("echo")], "echo.later"), horizon=1.0)
    async with running(runner):
        await until(lambda: runner.ready and bus.lag("echo") == 0)
        assert runner.metrics.later.total > 50
        await until(lambda: bus.lag("echo.later") == 0 and runner.idle, 30)
    assert len(set(bus.lines(TOPICS.banners))) == len(bus.lines(TOPICS.banners)) == 105


async def test_two_workers_share_and_a_rebalance_loses_nothing() -> None:
    bus = MemoryBus(8)
    lines = await numbered(bus, 400)
    stages = [Echo(hold=True), Echo(hold=True)]
    first, second = (make(bus, stage, capacity=50) for stage in stages)
    async with running(first):
        await until(lambda: len(stages[0].held) == 50)
        async with running(second):
            async with asyncio.timeout(20):
                while bus.lag("echo"):
                    for stage in stages:
                        stage.finish()
                    await asyncio.sleep(0.002)
    assert all(stage.begun for stage in stages)
    counts = Counter(bus.lines(TOPICS.banners))
    assert set(counts) == set(lines)
    assert max(counts.values()) == 1  # nothing died, so nothing is double


async def test_what_does_not_end_before_a_revocation_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    bus, stage = MemoryBus(2), Echo(hold=True)
    lines = await numbered(bus, 20)
    runner = make(bus, stage, RunnerSettings(flush_age=0.005, drain_deadline=0.1))
    async with running(runner):
        await until(lambda: len(stage.held) == 20)
        old = list(stage.held)
        stage.held.clear()
        with caplog.at_level(logging.INFO, "longline.core.runner"):
            await bus.rebalance("echo")
        assert "20 records left to others" in caplog.text
        await until(lambda: len(stage.held) == 20)  # they came again
        for job in old:
            job.done([Output(TOPICS.banners, b"", b"late")])
        await until(lambda: runner.metrics.late.total == 20)
        stage.finish()
        await until(lambda: runner.ready and bus.lag("echo") == 0)
    assert sorted(bus.lines(TOPICS.banners)) == sorted(lines)


async def test_the_share_of_the_partitions_sets_the_share_of_the_rate() -> None:
    class Sharing(MemorySource):
        share = 0.25

    bus = MemoryBus(1)
    gate: Gate[Job] = Gate(Limits(rate=1000))
    runner = make(bus, Echo(), gate=gate, source=Sharing(bus, [TOPICS.hits], "echo"))
    assert gate._pace.rate == 1000
    async with running(runner):
        await until(lambda: gate._pace.rate != 1000)
        assert gate._pace.rate == 250


async def test_a_bug_of_the_loop_commits_nothing_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    bus, stage = MemoryBus(1), Echo(hold=True)
    await numbered(bus, 3)
    runner = make(bus, stage)

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    async with running(runner) as task:
        await until(lambda: len(stage.held) == 3)
        monkeypatch.setattr(runner._flow, "reap", broken)
        stage.finish()
        with pytest.raises(KeyError):
            await asyncio.wait_for(task, 10)
    assert bus.committed("echo") == {}


async def test_unavailable_at_start_is_said() -> None:
    class Away(MemorySource):
        async def start(self, on_revoke: object) -> None:
            raise Unavailable("no broker at 127.0.0.1:1")

    bus = MemoryBus(1)
    with pytest.raises(Unavailable, match="no broker"):
        await make(bus, Echo(), source=Away(bus, [TOPICS.hits], "echo")).run()


def test_the_loop_runs_on_uvloop_and_on_asyncio() -> None:
    def pipe() -> Coroutine[Any, Any, Summary]:
        lines = [b"10.0.0.1 %d" % n for n in range(100)]
        bus = MemoryBus(1)
        return Runner(Echo(), Pipe(lines), bus.publisher(), settings=SETTINGS, topics=TOPICS).run()

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as loop:
            assert loop.run(pipe()).done == 100


def test_gauges_look_at_the_runner() -> None:
    runner = make(MemoryBus(1), Echo(), capacity=7)
    assert runner.metrics.capacity.value == 7
    value = runner.metrics.all.registry.get_sample_value
    assert value("longline_echo_capacity") == 7
    assert value("longline_echo_ready") == 0
    assert value("longline_echo_records_done_total", {"outcome": "refused"}) == 0


async def test_a_timer_that_fires_early_is_not_taken_for_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop rounds to milliseconds and may call back before the time asked for: the next look must still come."""
    loop = asyncio.get_running_loop()
    at_its_time = loop.call_at
    early = 0.004

    def call_at(when: float, callback: Callable[..., object], *args: Any, **kw: Any) -> asyncio.TimerHandle:
        ours = getattr(callback, "__self__", None).__class__ is Runner
        return at_its_time(when - early if ours else when, callback, *args, **kw)

    bus = MemoryBus()
    await numbered(bus, 6)
    monkeypatch.setattr(loop, "call_at", call_at)
    gate: Gate[Job] = Gate(Limits(rate=10.0, burst=1.0))
    async with running(make(bus, stage := Echo(), gate=gate)):
        await until(lambda: len(stage.begun) == 6)
    assert len(set(stage.begun)) == 6


async def test_how_long_records_lay_in_the_log_is_told() -> None:
    lines = [b"10.0.0.1 %d" % n for n in range(20)]
    pipe, bus = Pipe(lines), MemoryBus(2)
    for n, chunk in enumerate(pipe._chunks):
        chunk.since = 1_000.0 - 10 * n
    runner = Runner(Echo(), pipe, bus.publisher(), settings=SETTINGS, topics=TOPICS, clock=lambda: 1_002.0)
    await asyncio.wait_for(runner.run(), 20)
    age = runner.metrics.age
    assert (age.count, age.sum) == (2, 2.0 + 12.0)


async def test_the_share_of_the_dead_is_told_before_the_fuse_blows() -> None:
    lines = [b"{bad" if n % 4 == 0 else b"10.0.0.1 %d" % n for n in range(1_000)]
    bus = MemoryBus(2)
    runner = Runner(Echo(), Pipe(lines), bus.publisher(), settings=SETTINGS, topics=TOPICS)
    await asyncio.wait_for(runner.run(), 20)
    assert runner.metrics.dead_share.value == 0.25


async def test_on_hold_it_begins_nothing_and_commits_nothing_and_then_does_all() -> None:
    bus = MemoryBus(1)
    await bus.publisher().publish([hit(n) for n in range(5)])
    stage = Echo()
    runner = Runner(stage, bus.source([TOPICS.hits], "g"), bus.publisher(), settings=SETTINGS, topics=TOPICS)
    runner.heed(Standing(known=False))
    async with running(runner):
        await until(lambda: runner.waiting == 5)
        runner.heed(Standing((Order("stop", "all"),)))
        await asyncio.sleep(0.05)
        assert stage.begun == []
        assert bus.lag("g") == 5
        runner.heed(Standing((Order("stop", "campaign", "another"),)))
        await until(lambda: bus.lag("g") == 0)
    assert len(stage.begun) == 5
