from __future__ import annotations

import asyncio

from stages.core.bus.base import Chunk, Output
from stages.core.bus.memory import MemoryBus
from stages.core.feed import HIGH_BYTES, LOW_BYTES, Feed
from stages.core.job import Desk
from stages.core.offsets import Offsets


def feed(high: int = 10, low: int = 4, span: int = 1000, woken: list[int] | None = None) -> Feed:
    woken = [] if woken is None else woken
    return Feed(MemoryBus(1).source(["t"], "g"), Offsets(span), Desk(lambda: woken.append(1)), high, low)


def chunk(offset: int, lines: int, size: int = 1) -> Chunk:
    return Chunk("t", 0, offset, offset + 1, [b"x" * size] * lines)


def output(size: int = 1) -> Output:
    return Output("o", b"", b"y" * size)


async def test_intake_pauses_above_high_water_and_goes_on_below_low_water() -> None:
    f = feed()
    entry = f.take(chunk(0, 9))
    assert f.room() == 1
    f.take(chunk(1, 1))
    assert f.room() == 0
    assert f.paused
    f.records -= 5
    f.look()
    assert f.room() == 0  # between the marks it stays as it is
    f.records -= 1
    f.look()
    await asyncio.wait_for(f.wait_room(5), 5)
    assert f.room() == 6
    assert not f.paused
    assert entry.lines == 9


async def test_waiting_for_room_ends_with_the_timeout() -> None:
    f = feed()
    f.take(chunk(0, 10))
    assert f.room() == 0
    await f.wait_room(0.001)
    assert f.room() == 0


async def test_bytes_in_hand_pause_too() -> None:
    f = feed(high=1000)
    entry = f.take(chunk(0, 2, HIGH_BYTES // 2))
    assert f.room() == 0
    entry.left = 0
    f.records -= 2
    f.finished(entry)
    assert f.bytes == 0
    f.settled(f.hand_out())
    assert f.room() > 0
    f.add([output(HIGH_BYTES)])
    assert f.room() == 0
    group = f.hand_out()
    assert f.room() == 0  # not before it is acknowledged
    f.settled(group)
    assert f.backlog_bytes == 0 <= LOW_BYTES
    assert f.room() > 0


async def test_a_span_at_its_bound_pauses() -> None:
    f = feed(span=2)
    entries = [f.take(chunk(n, 1)) for n in range(2)]
    for entry in reversed(entries):
        assert f.room() == 0
        entry.left = 0
        f.records -= 1
        f.finished(entry)
    assert f.room() == 0
    group = f.hand_out()
    assert dict(group.positions) == {("t", 0): 2}
    f.settled(group)
    assert f.room() == 10


async def test_what_is_handed_out_is_handed_out_once() -> None:
    woken: list[int] = []
    f = feed(woken=woken)
    assert f.clean
    assert f.idle
    f.add([output(), output()])
    assert not f.clean
    f.stir(3, 1000)
    assert f.news.is_set()
    assert not f.enough.is_set()
    f.add([output()])
    f.stir(3, 1000)
    assert f.enough.is_set()
    group = f.hand_out()
    assert (len(group.outputs), group.size) == (3, 3)
    assert not f.news.is_set()
    assert not f.clean
    f.add([output()])
    f.settled(group)
    assert woken == [1]
    assert (f.backlog, f.backlog_bytes) == (1, 1)
    assert not f.clean


async def test_bytes_are_enough_as_well() -> None:
    f = feed()
    f.add([output(100)])
    f.stir(1000, 100)
    assert f.enough.is_set()


async def test_losing_partitions_gives_back_what_was_in_hand() -> None:
    f = feed()
    done, half = f.take(chunk(0, 2)), f.take(chunk(1, 3))
    half.left = 1
    done.left = 0
    f.finished(done)
    f.records -= 4
    assert f.lose(f.offsets.close([("t", 0)])) == 1
    assert f.records == 0
    assert f.bytes == 0
    assert f.idle
