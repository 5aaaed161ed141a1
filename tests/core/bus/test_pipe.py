from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from stages.core.bus.base import Chunk, Output, Publisher, Source
from stages.core.bus.memory import MemoryBus
from stages.core.bus.pipe import MAX_LINE_BYTES, LineSplitter, PipePublisher, PipeSource
from stages.core.errors import HostError, ReaderGone, UsageError
from stages.core.schema import DeadModel
from tests.core.bus.contract import BANNERS, DEAD, DEADLINE, HITS, FlowContract, Harness, ends, lines, never, read

Run = Callable[[Awaitable[None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on one of the loops."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runner(work: Awaitable[None]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(DEADLINE):
                await work

        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(whole())

    return runner


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """[read end, write end]; set an end to -1 after closing it."""
    held = list(os.pipe())
    yield held
    for fd in held:
        if fd >= 0:
            os.close(fd)


def shut(pipe: list[int], end: int) -> None:
    os.close(pipe[end])
    pipe[end] = -1


async def whole(source: PipeSource, max_records: int = 100) -> list[Chunk]:
    chunks: list[Chunk] = []
    while not source.ended:
        chunks += await source.poll(max_records, 0.2)
    return chunks


class PipeHarness(Harness):
    """One pipe: what its publishers write of HITS, its source reads."""

    def __init__(self, ends_of_pipe: list[int]) -> None:
        super().__init__()
        self._read, self._write = ends_of_pipe

    def make_source(self, topics: Sequence[str], group: str) -> Source:
        return PipeSource(topics[0], self._read)

    def make_publisher(self) -> Publisher:
        return PipePublisher(self.topic(HITS), self._write)


@pytest.fixture
async def bus(pipe: list[int]) -> AsyncIterator[PipeHarness]:
    harness = PipeHarness(pipe)
    yield harness
    await harness.close()


class TestPipe(FlowContract):
    """The contract over a pipe: of what a log promises, all but memory."""


# --- lines


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))), st.integers(1, 5))
def test_lines_in_any_pieces(records: list[bytes], size: int) -> None:
    for end in (b"\n", b"\r\n"):
        data = end.join(records)
        splitter = LineSplitter()
        got = [line for i in range(0, len(data), size) for line in splitter.feed(data[i : i + size])]
        assert got + splitter.end() == [record for record in records if record]


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(1, 60))
def test_long_lines_are_cut_and_counted(lengths: list[int], size: int) -> None:
    data = b"".join(b"%c" % (97 + i) * length + b"\n" for i, length in enumerate(lengths))
    splitter = LineSplitter(limit=16)
    got = [line for i in range(0, len(data), size) for line in splitter.feed(data[i : i + size])]
    assert got + splitter.end() == [b"%c" % (97 + i) * min(n, 16) for i, n in enumerate(lengths) if n]
    assert splitter.cut == sum(n > 16 for n in lengths)


# --- source


def test_a_pipe(run: Run, pipe: list[int]) -> None:
    async def work() -> None:
        source = PipeSource(HITS, pipe[0])
        await source.start(never)
        assert source.ready
        assert await source.poll(10, 0.02) == []
        os.write(pipe[1], b"10.0.0.1\n10.0.0.2\r\n\n10.0")
        chunks = await source.poll(10, 1.0)
        assert lines(chunks) == [b"10.0.0.1", b"10.0.0.2"]
        assert (chunks[0].topic, chunks[0].partition, chunks[0].offset, chunks[0].next_offset) == (HITS, 0, 0, 2)
        assert await source.lag() == 2
        await source.commit(ends(chunks))
        assert await source.lag() == 0
        assert await source.poll(0, 0.01) == []
        os.write(pipe[1], b".0.3")
        shut(pipe, 1)
        assert not source.ended
        assert lines(await whole(source)) == [b"10.0.0.3"]
        assert source.ended
        await source.close()

    run(work())


def test_a_poll_takes_what_is_asked(run: Run, pipe: list[int]) -> None:
    async def work() -> None:
        source = PipeSource(HITS, pipe[0])
        await source.start(never)
        os.write(pipe[1], b"".join(b"%d\n" % i for i in range(1_000)))
        shut(pipe, 1)
        chunks: list[Chunk] = []
        while not source.ended:
            some = await source.poll(300, 0.1)
            assert len(lines(some)) <= 300
            chunks += some
        assert lines(chunks) == [b"%d" % i for i in range(1_000)]
        assert [chunk.offset for chunk in chunks] == [0, *[chunk.next_offset for chunk in chunks[:-1]]]
        await source.close()

    run(work())


def test_a_regular_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(b"".join(b"%d\n" % i for i in range(200_000)))
    fd = os.open(file, os.O_RDONLY)

    async def work() -> None:
        source = PipeSource(HITS, fd)
        await source.start(never)
        assert lines(await whole(source, 1_000)) == [b"%d" % i for i in range(200_000)]
        await source.close()

    run(work())
    os.close(fd)


def test_nothing_at_all(run: Run) -> None:
    fd = os.open("/dev/null", os.O_RDONLY)

    async def work() -> None:
        source = PipeSource(HITS, fd)
        await source.start(never)
        assert await whole(source) == []
        await source.close()

    run(work())
    os.close(fd)


def test_a_terminal(run: Run) -> None:
    main, end = os.openpty()

    async def work() -> None:
        source = PipeSource(HITS, end)
        await source.start(never)
        os.write(main, b"10.0.0.1\n")
        assert lines(await read(source, 1)) == [b"10.0.0.1"]
        assert os.get_blocking(end)
        os.write(main, b"\x04")  # ^D
        assert await whole(source) == []
        await source.close()

    run(work())
    os.close(main)
    os.close(end)


def test_where_no_loop_can_watch(run: Run, pipe: list[int]) -> None:
    async def work() -> None:
        source = PipeSource(HITS, pipe[0])
        source._watchable = False
        await source.start(never)
        assert await source.poll(10, 0.02) == []
        os.write(pipe[1], b"late\n")
        assert lines(await read(source, 1)) == [b"late"]
        assert await source.poll(10, 0.02) == []
        await source.close()  # while a read waits

    run(work())
    os.write(pipe[1], b"the read comes back\n")


def test_input_is_read_only_when_asked_for(run: Run, pipe: list[int]) -> None:
    """Back-pressure: a writer that is ahead waits."""
    data = b"x" * 99 + b"\n"
    written = 0

    def write() -> None:
        nonlocal written
        for _ in range(20_000):
            written += os.write(pipe[1], data)
        shut(pipe, 1)

    async def work() -> None:
        source = PipeSource(HITS, pipe[0])
        await source.start(never)
        writer = threading.Thread(target=write)
        writer.start()
        seen = 0
        while not source.ended:
            seen += len(lines(await source.poll(50, 0.5)))
            assert written <= (seen + 1) * 100 + (64 << 10) + (256 << 10)
        writer.join()
        assert seen == 20_000
        await source.close()

    run(work())


def test_an_endless_line_is_bounded(run: Run, pipe: list[int]) -> None:
    size = 10 * MAX_LINE_BYTES

    def write() -> None:
        for _ in range(size >> 16):
            os.write(pipe[1], b"x" * (1 << 16))
        os.write(pipe[1], b"\nshort\n")
        shut(pipe, 1)

    async def work() -> None:
        source = PipeSource(HITS, pipe[0])
        await source.start(never)
        writer = threading.Thread(target=write)
        writer.start()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        got = lines(await whole(source))
        writer.join()
        assert [len(line) for line in got] == [MAX_LINE_BYTES, 5]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 6 * MAX_LINE_BYTES >> 10
        await source.close()

    run(work())


async def test_no_input() -> None:
    with pytest.raises(HostError, match="cannot be read"):
        await PipeSource(HITS, 9_999).start(never)


def test_a_directory(run: Run, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)

    async def work() -> None:
        source = PipeSource(HITS, fd)
        await source.start(never)
        with pytest.raises(HostError, match="reading input"):
            await source.poll(1, 1.0)
        await source.close()

    run(work())
    os.close(fd)


# --- publisher


def test_results_and_dead_letters(run: Run, pipe: list[int], tmp_path: Path) -> None:
    raw = bytes(range(256)) + b"\n"
    dead = tmp_path / "dead"

    async def work() -> None:
        publisher = PipePublisher(BANNERS, pipe[1], dead=str(dead), stage="bannergrab")
        await publisher.start()
        assert publisher.ready
        await publisher.publish(
            [
                Output(BANNERS, b"k", b"one"),
                Output(DEAD, b"k", raw, {"reason": b"schema", "error": b"\xffbad", "topic": b"in", "offset": b"7"}),
                Output(HITS, b"k", b"of no interest"),
                Output(BANNERS, b"k", b"two\nthree"),
            ]
        )
        await publisher.publish([])
        await publisher.close()
        await publisher.close()

    run(work())
    assert os.read(pipe[0], 100) == b"one\ntwo\nthree\n"
    (letter,) = [json.loads(line) for line in dead.read_text().splitlines()]
    assert b64decode(letter["original"]) == raw
    told = DeadModel.model_validate_json(dead.read_bytes())
    assert (told.stage, told.reason, told.error) == ("bannergrab", "schema", "\ufffdbad")
    assert (told.source.topic, told.source.partition, told.source.offset) == ("in", 0, 7)


async def test_settle_commits_after_writing(pipe: list[int]) -> None:
    memory = MemoryBus()
    source, publisher = memory.source([HITS], "g"), PipePublisher(BANNERS, pipe[1])
    await source.start(never)
    await publisher.start()
    await memory.publisher().publish([Output(HITS, b"k", b"x")])
    await publisher.settle([Output(BANNERS, b"k", b"y")], source, ends(await read(source, 1)))
    assert memory.lag("g") == 0
    shut(pipe, 0)
    await memory.publisher().publish([Output(HITS, b"k", b"x")])
    with pytest.raises(ReaderGone, match="nobody reads"):
        await publisher.settle([Output(BANNERS, b"k", b"y")], source, ends(await read(source, 1)))
    assert memory.lag("g") == 1
    assert not publisher.ready
    await publisher.close()


def test_a_slow_reader_is_waited_for_without_holding_the_loop(run: Run, pipe: list[int]) -> None:
    async def work() -> None:
        publisher = PipePublisher(BANNERS, pipe[1])
        await publisher.start()
        publishing = asyncio.ensure_future(publisher.publish([Output(BANNERS, b"k", b"x" * 1_000_000)]))
        await asyncio.sleep(0.05)
        assert not publishing.done()
        got = 0
        while got < 1_000_001:
            got += len(await asyncio.to_thread(os.read, pipe[0], 1 << 16))
        await publishing
        await publisher.close()

    run(work())


async def test_output_that_somebody_made_non_blocking(pipe: list[int]) -> None:
    os.set_blocking(pipe[1], False)
    publisher = PipePublisher(BANNERS, pipe[1])
    await publisher.start()
    publishing = asyncio.ensure_future(publisher.publish([Output(BANNERS, b"k", b"x" * 500_000)]))
    got = b""
    while len(got) < 500_001:
        got += await asyncio.to_thread(os.read, pipe[0], 1 << 16)
    await publishing
    await publisher.close()
    assert got == b"x" * 500_000 + b"\n"


async def test_a_full_disk() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    publisher = PipePublisher(BANNERS, fd)
    await publisher.start()
    with pytest.raises(HostError, match="output: No space left on device"):
        await publisher.publish([Output(BANNERS, b"k", b"x")])
    await publisher.close()
    os.close(fd)


async def test_dead_letters_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--dead: .*/no/dead': cannot be written: No such file"):
        await PipePublisher(BANNERS, dead=str(tmp_path / "no" / "dead")).start()
    with pytest.raises(HostError, match="not open"):
        await PipePublisher(BANNERS).publish([Output(BANNERS, b"k", b"x")])


COPY = """
import asyncio
from stages.core.bus.base import Output
from stages.core.bus.pipe import PipePublisher, PipeSource
async def never(_): pass
async def main():
    source, publisher = PipeSource("in"), PipePublisher("out")
    await source.start(never)
    await publisher.start()
    while not source.ended:
        for chunk in await source.poll(1000, 0.5):
            outputs = [Output("out", b"", line) for line in chunk.lines]
            outputs.append(Output("x.dead.v1", b"", b"bad", {"reason": b"schema"}))
            await publisher.settle(outputs, source, {(chunk.topic, 0): chunk.next_offset})
asyncio.run(main())
"""


@pytest.mark.parametrize("given_as", ["pipe", "file"])
def test_a_process(tmp_path: Path, given_as: str) -> None:
    data = b"".join(b"10.0.%d.%d\n" % (i >> 8, i & 255) for i in range(50_000))
    file = tmp_path / "in"
    file.write_bytes(data)
    with file.open("rb") as stdin, (tmp_path / "out").open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-c", COPY],
            stdin=stdin if given_as == "file" else None,
            input=None if given_as == "file" else data,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == data
    assert all(json.loads(line)["reason"] == "schema" for line in done.stderr.splitlines())


async def test_who_types_is_told_what_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = os.openpty()
    try:
        source = PipeSource("t", theirs)
        with caplog.at_level(logging.INFO, "longline.bus.pipe"):
            await source.start(never)
        assert "reading from the terminal" in caplog.text
        await source.close()
    finally:
        os.close(ours)
        os.close(theirs)
