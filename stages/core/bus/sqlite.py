"""The bus in a SQLite file: the embedded default, the same file as the store.

One log a topic (`segments`), so one partition, number 0. Results and offsets go in one transaction (`settle`), at
`synchronous=FULL`: what was acknowledged survives the power. Readers in this process are woken by its writer, readers
in another one look every LOOK_SECONDS. Each topic is bounded: at its bound producers wait, nothing is dropped; what
all registered readers have done is trimmed. Topics have their bounds apart, because a stage that waited for room among
its own input would wait for itself.

One process reads for a group; a second one is refused.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Final

from stages.core.bus import owner, segments
from stages.core.bus.base import Chunk, OnRevoke, Output, Partition, Source
from stages.core.bus.topics import is_exempt
from stages.core.errors import HostError, LonglineError, UsageError
from stages.core.sqlitefile import SqliteFile

log = logging.getLogger("longline.bus.sqlite")

#: All logs of a file together: some three million hits, or the banners of half a million hosts.
MAX_LOG_BYTES: Final = 1 << 30

#: The topics of the flow (hits, banners, tls, scans) share that bound evenly.
FLOW_TOPICS: Final = 4

#: Seconds until a waiting reader or producer looks for what another process has done.
LOOK_SECONDS: Final = 0.025

#: What the names of groups begin with that are tails, and the lines that one reads at once.
TAIL: Final = "tail."
TAIL_LINES: Final = 100

#: Bytes of one topic that one read takes into memory.
READ_BYTES: Final = 1 << 20


async def _open(path: str | Path, synchronous: str) -> SqliteFile:
    def opened() -> SqliteFile:
        file = SqliteFile.open(path, synchronous=synchronous)
        try:
            file.migrate("bus", segments.MIGRATIONS)
        except BaseException:
            file.close()
            raise
        return file

    return await asyncio.to_thread(opened)


async def expect(path: str | Path, topics: Sequence[str], group: str, *, synchronous: str = "FULL") -> None:
    """Register a reader that starts later: from now on nothing is trimmed before it has read it."""
    file = await _open(path, synchronous)
    try:
        await file.write(lambda connection: segments.register(connection, topics, group))
    finally:
        await asyncio.to_thread(file.close)


async def forget(path: str | Path, group: str, *, synchronous: str = "FULL") -> int:
    """Strike out a reader that never comes back; returns the number of topics that it read."""
    file = await _open(path, synchronous)
    try:
        return await file.write(lambda connection: segments.forget(connection, group))
    finally:
        await asyncio.to_thread(file.close)


async def look(path: str | Path, topic: str) -> AsyncIterator[Chunk]:
    """All that stands in a topic now. Raises UsageError where there is no such file: nothing is made."""
    if not await asyncio.to_thread(Path(path).is_file):
        raise UsageError("--bus", f"sqlite:{path}", "no such file")
    file = await _open(path, "FULL")
    try:
        at, end = 0, await file.read(lambda connection: segments.end(connection, topic))
        while at < end:
            chunks = await file.read(partial(segments.read, topic=topic, offset=at, max_bytes=READ_BYTES))
            if not chunks:  # trimmed meanwhile
                return
            for chunk in chunks:
                yield chunk
            at = chunks[-1].next_offset
    finally:
        await asyncio.to_thread(file.close)


class SqliteBroadcast:
    """Reads a topic alone. It is no registered reader: nothing is kept for it, and nothing is trimmed where nobody
    else reads."""

    def __init__(self, path: str | Path, topic: str, *, synchronous: str = "FULL") -> None:
        self._path, self._topic, self._synchronous = path, topic, synchronous
        self._file: SqliteFile | None = None
        self._at = self._end = 0

    async def start(self) -> None:
        file = await _open(self._path, self._synchronous)
        try:
            self._end = await file.read(lambda connection: segments.end(connection, self._topic))
        except BaseException:
            await asyncio.to_thread(file.close)
            raise
        self._file = file

    async def poll(self, timeout: float) -> list[Chunk]:
        assert self._file is not None
        read = partial(segments.read, topic=self._topic, offset=self._at, max_bytes=READ_BYTES)
        chunks = await self._file.read(read)
        if not chunks:
            self._end = min(self._end, self._at)  # somebody has trimmed it
            await asyncio.sleep(timeout)
            chunks = await self._file.read(read)
        if chunks:
            self._at = chunks[-1].next_offset
        return chunks

    @property
    def caught_up(self) -> bool:
        return self._file is not None and self._at >= self._end

    async def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            await asyncio.to_thread(file.close)


class _Bell:
    """Wakes one waiting coroutine after a commit of this process, or after LOOK_SECONDS."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._waiting = False
        file.listen(self._ring)

    def _ring(self) -> None:  # in the writer's thread
        if self._waiting:
            with suppress(RuntimeError):  # the loop has just been closed: nobody waits
                self._loop.call_soon_threadsafe(self._rung.set)

    def arm(self) -> None:
        """Commits from now on count."""
        self._rung.clear()
        self._waiting = True

    async def wait(self, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(timeout, LOOK_SECONDS)):
                await self._rung.wait()
        self._waiting = False

    def close(self) -> None:
        self._waiting = False
        self._file.unlisten(self._ring)


class SqliteSource:
    """The reader of a group."""

    def __init__(self, path: str | Path, topics: Sequence[str], group: str, *, synchronous: str = "FULL") -> None:
        self.path = path
        self.topics = tuple(topics)
        self.group = group
        self.file: SqliteFile | None = None
        self._synchronous = synchronous
        self._owner = ""
        self._offsets: dict[str, int] = {}  # next offset to read from the file
        self._chunks: dict[str, deque[Chunk]] = {}  # read and not yet handed out
        self._turn = 0
        self._bell: _Bell | None = None
        self._reading = False

    async def start(self, on_revoke: OnRevoke) -> None:
        """Open and register. Raises HostError also when another process reads for the group."""
        file = await _open(self.path, self._synchronous)
        self._owner = owner.take()
        try:
            self._offsets = await file.write(
                lambda connection: segments.own(connection, self.topics, self.group, self._owner, owner.alive)
            )
        except BaseException as error:
            owner.drop(self._owner)
            await asyncio.to_thread(file.close)
            if isinstance(error, HostError) and "already reads" in str(error):
                raise HostError(f"{self.path}: {error}; use another --group, or another file") from None
            raise
        self.file = file
        self._chunks = {topic: deque() for topic in self.topics}
        self._bell = _Bell(file)
        self._reading = True

    async def poll(self, max_records: int, timeout: float) -> list[Chunk]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if max_records <= 0 or self.file is None or self._bell is None:
                await asyncio.sleep(timeout)
                return []
            if chunks := self._hand_out(max_records):
                return chunks
            self._bell.arm()
            await self._fill()
            chunks = self._hand_out(max_records)
            left = deadline - loop.time()
            if chunks or left <= 0:
                return chunks
            await self._bell.wait(left)

    async def _fill(self) -> None:
        wanted = list(self._offsets.items())

        def read(connection: sqlite3.Connection) -> list[list[Chunk]]:
            return [segments.read(connection, topic, offset, READ_BYTES) for topic, offset in wanted]

        assert self.file is not None
        for chunks in await self.file.read(read):
            if chunks:
                self._chunks[chunks[0].topic].extend(chunks)
                self._offsets[chunks[0].topic] = chunks[-1].next_offset

    def _hand_out(self, max_records: int) -> list[Chunk]:
        taken: list[Chunk] = []
        left = max_records
        self._turn += 1  # another topic first each time
        for i in range(len(self.topics)):
            waiting = self._chunks[self.topics[(i + self._turn) % len(self.topics)]]
            while waiting and left > 0:
                chunk = waiting.popleft()
                if len(chunk.lines) > left and chunk.headers is None and chunk.next_offset - chunk.offset > 1:
                    chunk, rest = _cut(chunk, left)
                    waiting.appendleft(rest)
                taken.append(chunk)
                left -= max(1, len(chunk.lines))
        return taken

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        if self.file is not None and positions:
            await self.file.write(lambda connection: self.committing(connection, positions))

    def committing(self, connection: sqlite3.Connection, positions: Mapping[Partition, int]) -> None:
        """The commit, inside somebody's transaction."""
        ours = {at: offset for at, offset in positions.items() if at[0] in self._offsets}
        try:
            segments.commit(connection, self.group, self._owner, ours)
        except HostError:
            self._reading = False
            raise

    async def lag(self) -> int:
        if self.file is None:
            return 0
        return await self.file.read(lambda connection: segments.lag(connection, self.topics, self.group))

    @property
    def ended(self) -> bool:
        return False

    @property
    def ready(self) -> bool:
        return self._reading

    async def close(self) -> None:
        if self.file is None or self._bell is None:
            return
        file, self.file = self.file, None
        self._reading = False
        self._bell.close()
        owner.drop(self._owner)
        try:
            await file.write(lambda connection: segments.disown(connection, self._owner))
        except LonglineError as error:  # the next start finds that the owner is gone
            log.warning("leaving the group failed: %s", error)
        finally:
            await asyncio.to_thread(file.close)


def _cut(chunk: Chunk, lines: int) -> tuple[Chunk, Chunk]:
    """A chunk whose lines have an offset each, as two."""
    middle = chunk.offset + lines
    return (
        Chunk(chunk.topic, chunk.partition, chunk.offset, middle, chunk.lines[:lines]),
        Chunk(chunk.topic, chunk.partition, middle, chunk.next_offset, chunk.lines[lines:]),
    )


class SqliteTail:
    """Reads a topic from its end on, registered for as long, so that what it has read can be deleted."""

    def __init__(self, path: str | Path, topic: str, *, synchronous: str = "FULL") -> None:
        self._topic = topic
        self._source = SqliteSource(path, [topic], f"{TAIL}{token_hex(8)}", synchronous=synchronous)

    async def start(self) -> None:
        source = self._source
        await source.start(_nothing_to_give)
        assert source.file is not None
        end = await source.file.read(lambda connection: segments.end(connection, self._topic))
        source._offsets[self._topic] = end
        await source.commit({(self._topic, segments.PARTITION): end})
        await source.file.write(lambda connection: segments.forget_dead(connection, TAIL, owner.alive))

    async def poll(self, timeout: float) -> list[Chunk]:
        chunks = await self._source.poll(TAIL_LINES, timeout)
        if chunks:
            await self._source.commit({(self._topic, segments.PARTITION): chunks[-1].next_offset})
        return chunks

    async def close(self) -> None:
        file = self._source.file
        if file is not None:
            try:
                await file.write(lambda connection: segments.forget(connection, self._source.group))
            except LonglineError as error:  # the next tail finds that its process is gone
                log.warning("leaving a tail failed: %s", error)
        await self._source.close()


async def _nothing_to_give(partitions: Sequence[Partition]) -> None:
    """A file's partitions are never asked back."""


class SqlitePublisher:
    """Writes to the file."""

    def __init__(self, path: str | Path, *, max_log_bytes: int = MAX_LOG_BYTES, synchronous: str = "FULL") -> None:
        self.path = path
        self._bound = max(1, max_log_bytes // FLOW_TOPICS)
        self._synchronous = synchronous
        self._file: SqliteFile | None = None
        self._bell: _Bell | None = None

    async def start(self) -> None:
        self._file = await _open(self.path, self._synchronous)
        self._bell = _Bell(self._file)

    async def publish(self, outputs: Sequence[Output]) -> None:
        if outputs:
            await self._write(outputs, None, {})

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        if isinstance(source, SqliteSource) and source.file is self._file:
            if outputs or positions:
                await self._write(outputs, source, positions)
            return
        await self.publish(outputs)
        if source is not None and positions:
            await source.commit(positions)

    async def _write(
        self, outputs: Sequence[Output], source: SqliteSource | None, positions: Mapping[Partition, int]
    ) -> None:
        if self._file is None or self._bell is None:
            raise HostError(f"{self.path}: not open")
        rows = segments.gather(outputs)
        bounded = _bounded(rows)

        def write(connection: sqlite3.Connection) -> bool:
            if segments.is_full(connection, bounded, self._bound):
                return False
            segments.append(connection, rows)
            if source is not None and positions:
                source.committing(connection, positions)
            return True

        while not await self._file.write(write):
            stuck = True
            while stuck:  # looking is reading: a write that cannot succeed would wake, and hold up, everybody else
                self._bell.arm()
                await self._bell.wait(LOOK_SECONDS)
                stuck = await self._file.read(lambda connection: segments.is_stuck(connection, bounded, self._bound))

    @property
    def ready(self) -> bool:
        return self._file is not None

    async def close(self) -> None:
        if self._file is None or self._bell is None:
            return
        file, self._file = self._file, None
        self._bell.close()
        await asyncio.to_thread(file.close)


def _bounded(rows: Iterable[segments.Segment]) -> list[str]:
    return sorted({row.topic for row in rows if not is_exempt(row.topic)})
