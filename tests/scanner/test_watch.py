from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest

from stages.core.errors import HostError
from stages.scanner import watch
from stages.scanner.delivery import Delivery, Mark
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.prepare import Slice
from stages.scanner.summary import Counters, Tally
from stages.scanner.watch import State, Watch
from tests.servers.preparing import prepared


class Engine:
    """An engine that does what it is told."""

    name = "test"
    rate = 10.0
    continuing = None

    def __init__(self) -> None:
        self.position = 0
        self.counters = Counters()
        self.failure: HostError | None = None
        self.done = False
        self.sending = True
        self.calls: list[str] = []
        self.cooldown = 0.0

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.calls.append(name)

    def renew(self) -> None:
        """There is nothing to keep up."""

    def stop_sending(self) -> None:
        self.calls.append("stop_sending")
        self.sending = False
        self.done = True

    def settled(self, now: float, wait: float) -> int:
        self.cooldown = wait
        return self.position - 1

    def describe(self) -> dict[str, object]:
        return {}


class Work:
    def __init__(self, **more: Any) -> None:
        self.engine = Engine()
        self.delivery = Delivery(asyncio.get_running_loop())
        self.state = State(counters=Counters(sent=1000))  # of the slice before
        self.stop = asyncio.Event()
        self.status = io.StringIO()
        self.reports: list[dict[str, Any]] = []
        self.metrics = ScannerMetrics()
        self.writer: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(3600))
        self.watch = Watch(
            prepared(cooldown_time=3), Slice(4, 16, 100, 0, 16), self.engine, self.delivery,
            **{"state": self.state, "tally": Tally(success=3), "metrics": self.metrics, "status": self.status,
               "marks": True, "report": self.report, **more},
        )  # type: ignore[arg-type]  # fmt: skip

    async def report(self, counters: dict[str, Any]) -> None:
        self.reports.append(counters)

    async def run(self) -> None:
        try:
            async with asyncio.timeout(30):
                await self.watch.run(self.stop, self.writer)
        finally:
            self.writer.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "TICK", 0.001)
    for name in ("STATUS_SECONDS", "MARK_SECONDS", "PROGRESS_SECONDS"):
        monkeypatch.setattr(watch, name, 0.01)


async def test_it_reports_marks_and_counts_until_the_engine_is_done() -> None:
    work = Work()
    work.engine.position = 7
    work.engine.counters = Counters(sent=7, received=2)
    task = asyncio.create_task(work.run())
    taken = await asyncio.wait_for(work.delivery.take(1), 30)
    while not work.reports or not work.status.getvalue():
        await asyncio.sleep(0.001)
    work.engine.position, work.engine.done, work.engine.sending = 16, True, False
    await task
    assert taken == ([], Mark(106), [])  # positions are the scan's, not the slice's
    assert work.engine.cooldown == 3
    assert work.engine.calls == ["start"]
    assert work.reports[0]["sent"] == 1007
    assert work.reports[0]["success"] == 3
    assert "send: 1007 " in work.status.getvalue().splitlines()[0]
    assert work.state.position == 116
    assert work.state.counters.sent == 1007
    assert work.state.reason == "complete"
    assert work.metrics.position.value == 116


async def test_a_request_to_stop_ends_the_sending() -> None:
    work = Work()
    work.stop.set()
    await work.run()
    assert work.engine.calls == ["start", "stop_sending"]
    assert work.state.reason == "stopped"
    assert work.state.stopped_at is not None


async def test_an_engine_that_ends_early_had_no_more_time() -> None:
    work = Work()
    work.engine.position, work.engine.done = 5, True
    await work.run()
    assert work.state.reason == "max-runtime"


@pytest.mark.parametrize("done", [True, False])
async def test_a_failure_is_raised(done: bool) -> None:
    work = Work()
    work.engine.failure, work.engine.done = HostError("interface down"), done
    with pytest.raises(HostError, match="interface down"):
        await work.run()


async def test_it_ends_with_the_writer() -> None:
    work = Work()
    work.writer.cancel()
    await work.run()
    assert not work.engine.done


async def test_without_checkpoint_bus_and_terminal_nothing_is_said() -> None:
    work = Work(marks=False, report=None, status=None)
    task = asyncio.create_task(work.run())
    await asyncio.sleep(0.05)
    work.engine.done, work.engine.position = True, 16
    await task
    assert work.delivery.waiting == 0
    assert not work.delivery._items


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


async def test_nobody_reads_the_status_line_any_more() -> None:
    work = Work(status=Broken())
    task = asyncio.create_task(work.run())
    await asyncio.sleep(0.05)
    work.engine.done, work.engine.position = True, 16
    await task
    assert work.state.reason == "complete"


async def test_when_enough_is_written_the_engine_is_cut_short() -> None:
    """And goes on until what is said has been said."""
    enough = False
    work = Work(enough=lambda: enough)
    task = asyncio.create_task(work.run())
    async with asyncio.timeout(60):
        while "start" not in work.engine.calls:
            await asyncio.sleep(0)
        enough = True
        while "cut_short" not in work.engine.calls:
            await asyncio.sleep(0.005)
        assert not task.done()
        work.engine.done = True
        await task


async def test_an_order_halts_the_engine_once_also_when_it_was_told_to_stop() -> None:
    work = Work()
    work.engine.stop_sending = lambda: work.engine.calls.append("stop_sending")  # type: ignore[method-assign]
    work.stop.set()
    task = asyncio.create_task(work.run())
    while "stop_sending" not in work.engine.calls:
        await asyncio.sleep(0.001)
    work.state.ordered = True
    while "halt" not in work.engine.calls:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    work.engine.done = True
    await task
    assert work.engine.calls == ["start", "stop_sending", "halt"]
    assert work.state.reason == "ordered"
