from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from stages.core.bus import owner
from stages.core.bus.base import Broadcast, Output, Publisher, Source, Tail
from stages.core.bus.memory import MemoryBus
from stages.core.bus.sqlite import SqliteBroadcast, SqlitePublisher, SqliteSource, SqliteTail, expect, forget, look
from stages.core.errors import HostError, UsageError
from stages.core.sqlitefile import SqliteFile
from tests.core.bus.contract import (
    BANNERS,
    DEADLINE,
    HITS,
    WORK,
    BusContract,
    Harness,
    TailContract,
    ends,
    lines,
    never,
    read,
)
from tests.require import require


class SqliteHarness(Harness):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make_source(self, topics: Sequence[str], group: str) -> Source:
        return SqliteSource(self.path, topics, group)

    def make_tail(self, topic: str, key: bytes) -> Tail:
        return SqliteTail(self.path, topic)

    def make_broadcast(self, topic: str) -> Broadcast:
        return SqliteBroadcast(self.path, topic)

    def make_publisher(self) -> Publisher:
        return SqlitePublisher(self.path)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SqliteHarness]:
    harness = SqliteHarness(tmp_path / "log.db")
    yield harness
    await harness.close()
    assert harness.path not in SqliteFile._open


class TestSqlite(BusContract, TailContract):
    """The contract over a SQLite file."""


async def test_a_second_consumer_of_a_group_is_refused(bus: SqliteHarness) -> None:
    publisher, first = await bus.publisher(), await bus.source()
    with pytest.raises(HostError, match="already reads"):
        await bus.source()
    await publisher.publish(bus.outputs(3))
    await first.commit(ends(await read(first, 3)))
    await first.close()
    assert await (await bus.source()).lag() == 0


async def test_looking_makes_nobody_a_reader(bus: SqliteHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.core.bus.sqlite.READ_BYTES", 100)
    publisher = await bus.publisher()
    outputs = bus.outputs(50)
    for start in range(0, 50, 10):
        await publisher.publish(outputs[start : start + 10])
    for _ in range(2):
        seen = [line async for chunk in look(bus.path, bus.topic(HITS)) for line in chunk.lines]
        assert seen == [output.value for output in outputs]
    assert [chunk async for chunk in look(bus.path, "no such topic")] == []
    source = await bus.source()
    assert await source.lag() == 50


async def test_looking_at_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        await anext(look(tmp_path / "none.db", HITS))
    assert not list(tmp_path.iterdir())


async def test_settle_is_one_transaction(bus: SqliteHarness) -> None:
    publisher, source = await bus.publisher(), await bus.source()
    await publisher.publish(bus.outputs(10))
    chunks = await read(source, 10)
    file = SqliteFile.open(bus.path)
    await file.write(lambda connection: connection.execute("UPDATE bus_reader SET owner = 'somebody else'"))
    with pytest.raises(HostError, match="taken over"):  # the fence: what was made for the lost group is not kept
        await publisher.settle(bus.outputs(3, topic=BANNERS), source, ends(chunks))
    assert not source.ready
    assert await file.read(lambda connection: connection.execute("SELECT count(*) FROM bus_segment").fetchone()) == (1,)
    file.close()


async def test_settle_with_a_source_of_another_log(bus: SqliteHarness) -> None:
    memory = MemoryBus()
    source = memory.source([HITS], "g")
    await source.start(never)
    await memory.publisher().publish(bus.outputs(5))
    publisher = await bus.publisher()
    await publisher.settle(bus.outputs(5, topic=BANNERS), source, ends(await read(source, 5)))
    assert await source.lag() == 0
    assert len(lines(await read(await bus.source(BANNERS), 5))) == 5


async def test_a_chunk_can_be_committed_in_the_middle_of_a_segment(bus: SqliteHarness) -> None:
    publisher, source = await bus.publisher(), await bus.source()
    await publisher.publish(bus.outputs(2_500))
    chunks = await read(source, 2_500, max_records=100)
    assert [chunk.offset for chunk in chunks] == [0, *[chunk.next_offset for chunk in chunks[:-1]]]
    await source.commit({(HITS, 0): 1_234})
    await source.close()
    source = await bus.source()
    again = await read(source, 2_500 - 1_234)
    assert again[0].offset == 1_234
    assert lines(again) == [output.value for output in bus.outputs(2_500)[1_234:]]


def size_of(bus: SqliteHarness, topic: str = HITS) -> tuple[int, int, int]:
    """(first, next, bytes) of a log."""
    connection = sqlite3.connect(bus.path)
    row: tuple[int, int, int] = connection.execute(
        "SELECT first, next, bytes FROM bus_log WHERE topic = ?", (topic,)
    ).fetchone()
    connection.close()
    return row


async def test_back_pressure_and_trimming_behind_the_slowest_reader(bus: SqliteHarness) -> None:
    publisher = SqlitePublisher(bus.path, max_log_bytes=4 * 10_000)
    await publisher.start()
    fast, slow = await bus.source(group="fast"), await bus.source(group="slow")
    record = Output(HITS, b"k", b"x" * 1_000)
    for _ in range(10):
        await publisher.publish([record])
    waiting = asyncio.create_task(publisher.publish([record] * 3))
    await fast.commit(ends(await read(fast, 10)))
    assert len(lines(await read(slow, 10))) == 10
    await asyncio.sleep(0.1)
    assert not waiting.done()
    side = [Output("t.dead.v1", b"k", b"x" * 99_999), Output("t.grab.later.v1", b"k", b"x" * 99_999)]
    await publisher.publish(side)  # beside the flow: never held up
    await slow.commit({(HITS, 0): 2})
    async with asyncio.timeout(DEADLINE):
        await waiting
    assert size_of(bus) == (2, 13, 11_002)  # three lines in a segment have two line ends
    assert len(lines(await read(slow, 3))) == 3  # nothing was dropped
    await publisher.close()


async def test_what_all_have_done_is_trimmed_in_passing(bus: SqliteHarness) -> None:
    publisher, source = await bus.publisher(), await bus.source()
    for _ in range(12):
        await publisher.publish(bus.outputs(1_000))
        await source.commit(ends(await read(source, 1_000)))
    first, following, size = size_of(bus)
    assert following == 12_000
    assert first >= 10_000
    assert size < 2_000 * 20


async def test_a_registered_reader_is_waited_for(bus: SqliteHarness) -> None:
    await expect(bus.path, [HITS], "later")
    publisher, source = await bus.publisher(), await bus.source()
    for _ in range(12):
        await publisher.publish(bus.outputs(1_000))
        await source.commit(ends(await read(source, 1_000)))
    assert size_of(bus)[0] == 0
    late = await bus.source(group="later")
    assert len(lines(await read(late, 12_000))) == 12_000
    await late.close()
    assert await forget(bus.path, "later") == 1
    await publisher.publish(bus.outputs(1_000))
    await source.commit(ends(await read(source, 1_000)))
    assert size_of(bus)[0] >= 12_000


async def test_disk_full_loses_nothing(bus: SqliteHarness) -> None:
    publisher, source = await bus.publisher(), await bus.source()
    await publisher.publish(bus.outputs(10))
    file = SqliteFile.open(bus.path)
    pages = (await file.write(lambda c: c.execute("PRAGMA page_count").fetchone()))[0]
    await file.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    chunks = await read(source, 10)
    big = [Output(BANNERS, b"k", b"y" * 900_000)]
    with pytest.raises(HostError, match="full"):
        await publisher.settle(big, source, ends(chunks))
    assert await source.lag() == 10
    await file.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
    await publisher.settle(big, source, ends(chunks))
    assert await source.lag() == 0
    file.close()


FILL = """
import asyncio, sys
from stages.core.bus.base import Output
from stages.core.bus.sqlite import SqlitePublisher
from stages.core.errors import HostError
async def main():
    publisher = SqlitePublisher(sys.argv[1])
    await publisher.start()
    n = 0
    try:
        while True:
            await publisher.publish([Output("t.hits.v1", b"k", b"%d" % n + b"x" * 50_000)])
            n += 1
    except HostError as error:
        print(n, "full" in str(error), flush=True)
    await publisher.close()
asyncio.run(main())
"""


async def test_a_really_full_disk(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "mounting a small file system needs root")
    script = (
        f"mount -t tmpfs -o size=3m none {tmp_path} && {sys.executable} -c '{FILL}' {tmp_path}/log.db"
        f" && cp {tmp_path}/log.db* /dev/shm/$KEEP"
    )
    keep = Path("/dev/shm") / f"longline-{os.getpid()}"
    keep.mkdir()
    try:
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script],
            env={**os.environ, "KEEP": keep.name},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        require("unshare" not in done.stderr, f"no mount namespace: {done.stderr}")
        assert done.returncode == 0, done.stderr
        count, full = done.stdout.split()
        assert full == "True"
        assert int(count) > 5
        source = SqliteSource(keep / "log.db", [HITS], "g")
        await source.start(never)
        got = lines(await read(source, int(count)))
        assert [int(line.rstrip(b"x")) for line in got][: int(count)] == list(range(int(count)))
        await source.close()
    finally:
        for file in keep.iterdir():
            file.unlink()
        keep.rmdir()


STAGE = """
import asyncio, sys
from stages.core.bus.base import Output
from stages.core.bus.sqlite import SqlitePublisher, SqliteSource
async def never(_): pass
async def main():
    source, publisher = SqliteSource(sys.argv[1], ["t.hits.v1"], "g"), SqlitePublisher(sys.argv[1])
    await source.start(never)
    await publisher.start()
    print("up", flush=True)
    while True:
        for chunk in await source.poll(7, 0.5):
            outputs = [Output("t.banners.v1", b"k", line) for line in chunk.lines]
            await publisher.settle(outputs, source, {(chunk.topic, chunk.partition): chunk.next_offset})
asyncio.run(main())
"""


def stage(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", STAGE, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


async def test_a_stage_in_another_process_killed_again_and_again(bus: SqliteHarness) -> None:
    """Results and offsets are one transaction: after any number of SIGKILLs each input has exactly one result."""
    publisher, sink = await bus.publisher(), await bus.source(BANNERS, group="sink")
    await publisher.publish(bus.outputs(3_000))
    got: list[bytes] = []
    for _ in range(5):
        process = await asyncio.to_thread(stage, bus.path)
        got += lines(await read(sink, 100, max_records=100))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = await asyncio.to_thread(stage, bus.path)
    with pytest.raises(HostError, match=f"already reads .* in process {process.pid}"):
        await bus.source()
    got += lines(await read(sink, 3_000 - len(got)))
    process.terminate()
    process.communicate()
    assert got == [output.value for output in bus.outputs(3_000)]


async def test_a_file_of_a_newer_program_is_refused(bus: SqliteHarness) -> None:
    publisher = await bus.publisher()
    file = SqliteFile.open(bus.path)
    await file.write(lambda c: c.execute("UPDATE schema_version SET version = 99 WHERE part = 'bus'"))
    file.close()
    await publisher.close()
    with pytest.raises(UsageError, match="version 99"):
        await SqlitePublisher(bus.path).start()


async def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(b"something else, long enough to be looked at" * 99)
    with pytest.raises(HostError, match="not a database"):
        await SqliteSource(path, [HITS], "g").start(never)
    with pytest.raises(HostError, match="unable to open"):
        await SqlitePublisher(tmp_path / "no" / "log.db").start()


async def test_not_started() -> None:
    with pytest.raises(HostError, match="not open"):
        await SqlitePublisher("x.db").publish([Output(HITS, b"", b"x")])


async def test_what_a_tail_has_read_is_deleted_and_a_dead_one_is_waited_for_by_nobody(
    bus: SqliteHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.core.bus.segments.TRIM_LINES", 1)
    monkeypatch.setattr("stages.core.bus.segments.trim.__defaults__", (1,))
    publisher, tail = await bus.publisher(), await bus.tail(b"k")
    dead = await bus.tail(b"k")
    file = SqliteFile.open(bus.path)

    def kept() -> int:
        return int(file.read_sync(lambda c: c.execute("SELECT next - first FROM bus_log").fetchone()[0]))

    def groups() -> int:
        return int(file.read_sync(lambda c: c.execute("SELECT count(*) FROM bus_reader").fetchone()[0]))

    try:
        await publisher.publish(bus.outputs(20, topic=WORK))
        assert len(lines(await tail.poll(5))) == 20
        assert (kept(), groups()) == (20, 2)
        alive = owner.alive
        gone = dead._source._owner  # type: ignore[attr-defined]
        monkeypatch.setattr("stages.core.bus.owner.alive", lambda token: token != gone and alive(token))
        another = await bus.tail(b"k")
        assert groups() == 2
        await publisher.publish(bus.outputs(1, topic=WORK))
        assert len(lines(await another.poll(5))) == len(lines(await tail.poll(5))) == 1
        assert kept() == 0
    finally:
        await asyncio.to_thread(file.close)
