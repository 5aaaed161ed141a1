from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from stages.core import settler as module
from stages.core.bus.base import Output, Partition, Source
from stages.core.bus.memory import MemoryBus
from stages.core.errors import HostError, Unavailable
from stages.core.feed import Feed
from stages.core.job import Desk
from stages.core.offsets import Offsets
from stages.core.runner_metrics import RunnerMetrics
from stages.core.settler import Settler


class Publisher:
    """Keeps the groups; `errors` are raised first, `gate` holds a settle up."""

    ready = True

    def __init__(self) -> None:
        self.groups: list[tuple[list[bytes], dict[Partition, int]]] = []
        self.errors: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.came = asyncio.Event()

    async def start(self) -> None: ...

    async def publish(self, outputs: Sequence[Output]) -> None:
        raise AssertionError("the settler settles")

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        self.came.set()
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.groups.append(([output.value for output in outputs], dict(positions)))

    async def close(self) -> None: ...


class Rig:
    def __init__(self, age: float) -> None:
        self.feed = Feed(MemoryBus(1).source(["t"], "g"), Offsets(), Desk(lambda: None), 1000, 500)
        self.publisher = Publisher()
        self.metrics = RunnerMetrics("echo")
        self.settler = Settler(self.feed, self.publisher, self.metrics, age)
        self.at = 0

    def finish(self, *values: bytes, records: int = 3) -> None:
        entry = self.feed.offsets.add(("t", 0), self.at, self.at + 1, 0, 0)
        self.at += 1
        self.feed.add([Output("o", b"", value) for value in values])
        self.feed.finished(entry)
        self.feed.stir(records, 10_000)


@asynccontextmanager
async def running(age: float) -> AsyncIterator[Rig]:
    rig = Rig(age)
    task = asyncio.create_task(rig.settler.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_results_wait_for_company_until_there_are_enough() -> None:
    async with running(age=60) as rig:
        rig.finish(b"a")
        for _ in range(5):
            await asyncio.sleep(0)
        assert rig.publisher.groups == []
        rig.finish(b"b", b"c")
        assert await asyncio.wait_for(_clean(rig), 5)
        assert rig.publisher.groups == [([b"a", b"b", b"c"], {("t", 0): 2})]
        assert rig.metrics.published.total == 3
        assert rig.metrics.settle_seconds.count == 1
        assert rig.metrics.settled_at.value > 1_700_000_000


async def _clean(rig: Rig) -> bool:
    while not rig.feed.clean:
        await asyncio.sleep(0.001)
    return True


async def test_results_do_not_wait_longer_than_their_age() -> None:
    async with running(age=0.01) as rig:
        rig.finish(b"a")
        assert await asyncio.wait_for(_clean(rig), 5)
        assert rig.publisher.groups == [([b"a"], {("t", 0): 1})]


async def test_positions_without_results_are_committed_too() -> None:
    async with running(age=0.001) as rig:
        rig.finish()
        assert await asyncio.wait_for(_clean(rig), 5)
        assert rig.publisher.groups == [([], {("t", 0): 1})]


async def test_flush_does_not_wait_for_company() -> None:
    async with running(age=60) as rig:
        assert await rig.settler.flush(5)
        rig.finish(b"a")
        assert await rig.settler.flush(5)
        assert rig.publisher.groups == [([b"a"], {("t", 0): 1})]


async def test_one_group_at_a_time_in_order() -> None:
    async with running(age=0.001) as rig:
        rig.publisher.gate.clear()
        rig.finish(b"a")
        await asyncio.wait_for(rig.publisher.came.wait(), 5)
        rig.finish(b"b")
        rig.finish(b"c")
        assert not await rig.settler.flush(0.01)
        rig.publisher.gate.set()
        assert await rig.settler.flush(5)
        assert rig.publisher.groups == [([b"a"], {("t", 0): 1}), ([b"b", b"c"], {("t", 0): 3})]


async def test_an_outage_is_waited_out_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST", 0.001)
    async with running(age=0.001) as rig:
        rig.publisher.errors = [Unavailable("broker away")] * 3
        rig.publisher.gate.clear()
        rig.finish(b"a")
        with caplog.at_level(logging.INFO, "longline.core.settler"):
            rig.publisher.gate.set()
            assert await asyncio.wait_for(_clean(rig), 5)
        assert rig.publisher.groups == [([b"a"], {("t", 0): 1})]
        assert rig.metrics.retries.value("settle") == 3
        assert not rig.settler.failing
        assert "broker away" in caplog.text
        assert "acknowledged again" in caplog.text


async def test_failing_is_seen_from_outside_while_it_lasts() -> None:
    async with running(age=0.001) as rig:
        rig.publisher.errors = [Unavailable("away")]
        rig.finish(b"a")
        async with asyncio.timeout(5):
            while not rig.settler.failing:
                await asyncio.sleep(0.001)
        assert await rig.settler.flush(5)
        assert not rig.settler.failing


async def test_an_error_for_good_ends_it_and_whoever_waits() -> None:
    rig = Rig(age=60)
    rig.publisher.errors = [HostError("disk full")]
    task = asyncio.create_task(rig.settler.run())
    rig.finish(b"a")
    assert not await rig.settler.flush(30)
    with pytest.raises(HostError, match="disk full"):
        await task
    assert not rig.feed.clean
