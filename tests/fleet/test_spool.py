from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from stages.core.bus.base import Output
from stages.core.bus.memory import MemoryBus
from stages.fleet.spool import Spool, Spooling

HERE, THERE = "https://here:1", "https://there:1"


async def test_what_is_put_comes_out_in_order_and_stays_until_it_is_done(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db")
    for n in range(3):
        await spool.put(HERE, 7, "results", b"%d" % n)
    await spool.put(THERE, 7, "results", b"other")
    for n in range(3):
        for _ in range(2):
            item = await spool.first(HERE)
            assert item is not None
            assert (item.token, item.kind, item.body) == (7, "results", b"%d" % n)
        await spool.done(item)
    assert await spool.first(HERE) is None
    assert spool.bytes == 5
    spool.close()


async def test_it_survives_its_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db")
    await spool.put(HERE, 7, "results", b"found")
    spool.close()
    again = Spool(tmp_path / "s.db")
    assert (await again.wait(HERE)).body == b"found"
    assert again.bytes == 5
    assert await again.tokens(HERE) == (7,)
    again.close()


async def test_progress_takes_the_place_of_progress_and_of_nothing_else(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db")
    await spool.put(HERE, 7, "progress", b"p1")
    first = await spool.wait(HERE)
    for body in (b"p2", b"p3"):
        await spool.put(HERE, 7, "progress", body)
    await spool.done(first)  # what was handed over meanwhile was an older one
    assert (await spool.wait(HERE)).body == b"p3"
    await spool.put(HERE, 7, "results", b"r")
    await spool.put(HERE, 7, "progress", b"p4")
    await spool.put(HERE, 8, "progress", b"q1")
    bodies = []
    while (item := await spool.first(HERE)) is not None:
        bodies.append(item.body)
        await spool.done(item)
    assert bodies == [b"p3", b"r", b"p4", b"q1"]
    assert spool.bytes == 0
    spool.close()


async def test_results_wait_for_room_and_progress_does_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", most=10)
    await spool.put(HERE, 7, "results", b"x" * 8)
    waiting = asyncio.create_task(spool.put(HERE, 7, "results", b"y" * 8))
    await spool.put(HERE, 7, "progress", b"p" * 100)
    assert not waiting.done()
    await spool.done(await spool.wait(HERE))
    await spool.done(await spool.wait(HERE))
    await waiting
    assert (await spool.wait(HERE)).body == b"y" * 8
    spool.close()


async def test_what_is_larger_than_the_bound_goes_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", most=10)
    await spool.put(HERE, 7, "results", b"x" * 100)
    assert spool.bytes == 100
    spool.close()


async def test_a_lost_lease_is_dropped_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db")
    await spool.put(HERE, 7, "results", b"a")
    await spool.put(HERE, 8, "results", b"b")
    await spool.put(THERE, 7, "results", b"c")
    await spool.drop(HERE, 7)
    assert (await spool.wait(HERE)).body == b"b"
    assert (await spool.wait(THERE)).body == b"c"
    spool.close()


async def test_who_waits_is_woken(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db")
    item = asyncio.create_task(spool.wait(HERE))
    await spool.put(HERE, 1, "results", b"x")
    got = await item
    emptied = asyncio.create_task(spool.emptied(HERE))
    await spool.done(got)
    await emptied
    spool.close()


async def test_the_scanners_hits_are_spooled_in_bounded_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.fleet.spool.MAX_RESULTS", 10)
    spool, kept = Spool(tmp_path / "s.db"), io.BytesIO()
    publisher = Spooling(spool, HERE, 7, ("t.hits.v1", "t.tls.v1"), kept)
    await publisher.start()
    lines = [Output("t.hits.v1", b"", b"abcd"), Output("t.scans.v1", b"", b"start"), Output("t.tls.v1", b"", b"efgh")]
    await publisher.publish([*lines, Output("t.hits.v1", b"", b"ijkl")])
    await publisher.settle([Output("t.scans.v1", b"", b"end")], None, {})
    await publisher.close()
    assert (await spool.wait(HERE)).body == b"abcd\nefgh"
    await spool.done(await spool.wait(HERE))
    assert (await spool.wait(HERE)).body == b"ijkl"
    assert kept.getvalue() == b"abcd\nefgh\nijkl\n"
    spool.close()


async def test_a_grab_commits_what_is_spooled_and_not_before(tmp_path: Path) -> None:
    spool, bus = Spool(tmp_path / "s.db", most=10), MemoryBus(partitions=1)
    source = bus.source(["t.hits.v1"], "grab")

    async def nothing(_: object) -> None: ...

    await source.start(nothing)
    publisher = Spooling(spool, HERE, 7, ("t.banners.v1",))
    await publisher.settle([Output("t.banners.v1", b"", b"x" * 8)], source, {("t.hits.v1", 0): 1})
    assert bus.committed("grab") == {("t.hits.v1", 0): 1}
    settling = asyncio.create_task(
        publisher.settle([Output("t.banners.v1", b"", b"y" * 8)], source, {("t.hits.v1", 0): 2})
    )
    await asyncio.sleep(0.1)
    assert bus.committed("grab") == {("t.hits.v1", 0): 1}, "the spool is full"
    await spool.done(await spool.wait(HERE))
    await settling
    assert bus.committed("grab") == {("t.hits.v1", 0): 2}
    spool.close()
