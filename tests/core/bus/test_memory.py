from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from stages.core.bus.base import Broadcast, Output, Publisher, Source, Tail, partition_of
from stages.core.bus.memory import MemoryBus, MemorySource
from stages.core.errors import HostError, Unavailable
from tests.core.bus.contract import HITS, GroupContract, Harness, TailContract, ends, lines, never, read


class MemoryHarness(Harness):
    def __init__(self) -> None:
        super().__init__()
        self.bus = MemoryBus()

    def make_source(self, topics: Sequence[str], group: str) -> Source:
        return self.bus.source(topics, group)

    def make_tail(self, topic: str, key: bytes) -> Tail:
        return self.bus.tail(topic, key)

    def make_publisher(self) -> Publisher:
        return self.bus.publisher()

    def make_broadcast(self, topic: str) -> Broadcast:
        return self.bus.broadcast(topic)

    async def crash(self, source: Source) -> None:
        assert isinstance(source, MemorySource)
        await source.crash()


@pytest.fixture
async def bus() -> AsyncIterator[MemoryHarness]:
    harness = MemoryHarness()
    yield harness
    await harness.close()


class TestMemory(GroupContract, TailContract):
    """The contract over memory."""


def some(count: int) -> list[Output]:
    return [Output(HITS, b"k%d" % i, b"%d" % i) for i in range(count)]


async def started(bus: MemoryBus, group: str = "g") -> MemorySource:
    source = bus.source([HITS], group)
    await source.start(never)
    return source


async def test_partitions_are_those_of_partition_of() -> None:
    bus = MemoryBus(partitions=7)
    await bus.publisher().publish(some(50))
    for number, messages in enumerate(bus.log(HITS)):
        assert all(partition_of(message.key, 7) == number for message in messages)
    assert sorted(bus.lines(HITS)) == sorted(output.value for output in some(50))


async def test_named_buses_are_one() -> None:
    bus = MemoryBus.named("a")
    assert MemoryBus.named("a") is bus
    assert MemoryBus.named("b") is not bus
    MemoryBus.forget("a")
    MemoryBus.forget("b")
    assert MemoryBus.named("a") is not bus
    MemoryBus.forget("a")


async def test_batches_of_lines() -> None:
    bus = MemoryBus(partitions=1)
    await bus.publisher(batch_lines=10).publish(some(25))
    assert [len(message.value.split(b"\n")) for message in bus.messages(HITS)] == [10, 10, 5]


@pytest.mark.parametrize(("after", "stands"), [(False, 0), (True, 5)])
async def test_a_failing_publish(after: bool, stands: int) -> None:
    bus = MemoryBus()
    bus.fail("publish", after=after)
    with pytest.raises(Unavailable):
        await bus.publisher().publish(some(5))
    assert len(bus.lines(HITS)) == stands
    await bus.publisher().publish(some(5))
    assert len(bus.lines(HITS)) == stands + 5


@pytest.mark.parametrize("after", [False, True])
async def test_a_failing_commit(after: bool) -> None:
    bus = MemoryBus()
    source, publisher = await started(bus), bus.publisher()
    await publisher.publish(some(5))
    chunks = await read(source, 5)
    bus.fail("commit", times=2, after=after)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await publisher.settle([], source, ends(chunks))
        assert bus.lag("g") == (0 if after else 5)
    await publisher.settle([], source, ends(chunks))
    assert bus.lag("g") == 0
    assert bus.committed("g") == ends(chunks)


async def test_a_failing_poll_and_another_error() -> None:
    bus = MemoryBus()
    source = await started(bus)
    bus.fail("poll", error=HostError)
    with pytest.raises(HostError):
        await source.poll(1, 0.0)
    assert await source.poll(1, 0.0) == []


async def test_outage() -> None:
    bus = MemoryBus()
    source, publisher = await started(bus), bus.publisher()
    await publisher.publish(some(3))
    with bus.outage():
        assert not source.ready
        assert not publisher.ready
        assert await source.poll(10, 0.01) == []
        with pytest.raises(Unavailable):
            await publisher.publish(some(1))
        with pytest.raises(Unavailable):
            await source.commit({(HITS, 0): 1})
        late = asyncio.create_task(started(bus, "late"))
        await asyncio.sleep(0)
        assert not late.done()
    await late
    assert source.ready
    assert len(lines(await read(source, 3))) == 3


async def test_back_pressure() -> None:
    bus = MemoryBus(bound=10)
    source, publisher = await started(bus), bus.publisher()
    await publisher.publish(some(10))
    second = asyncio.create_task(publisher.publish(some(1)))
    await asyncio.sleep(0.02)
    assert not second.done()
    await publisher.publish([Output("t.dead.v1", b"", b"x"), Output("t.grab.later.v1", b"", b"x")])  # exempt
    await source.commit(ends(await read(source, 10)))
    await second
    assert len(bus.lines(HITS)) == 11


async def test_rebalance_on_demand_moves_partitions() -> None:
    bus = MemoryBus(partitions=4)
    one, two = await started(bus), await started(bus)
    before = one.owned
    await bus.rebalance("g")
    assert two.owned == before
    assert sorted(one.owned + two.owned) == [(HITS, number) for number in range(4)]
    await one.close()
    assert len(two.owned) == 4
    await two.close()


async def test_an_error_in_on_revoke_does_not_stop_the_group(caplog: pytest.LogCaptureFixture) -> None:
    bus = MemoryBus()
    source = bus.source([HITS], "g")

    async def broken(_: object) -> None:
        raise ValueError("broken")

    await source.start(broken)
    await started(bus)
    assert "on_revoke failed" in caplog.text


async def test_what_all_have_committed_is_let_go_if_nobody_looks_at_it_again() -> None:
    bus = MemoryBus(partitions=1, keep=False)
    fast, slow, publisher = await started(bus, "fast"), await started(bus, "slow"), bus.publisher()
    await publisher.publish(some(5))
    await fast.commit(ends(await read(fast, 5)))
    assert len(bus.lines(HITS)) == 5, "slow has still to read them"
    await slow.commit(ends((await slow.poll(3, 1.0))[:3]))
    assert len(bus.lines(HITS)) == 2
    await publisher.publish(some(1))
    assert len(await read(slow, 3)) == 3
    assert bus.lag("slow") == 3, "offsets stay as they were"
