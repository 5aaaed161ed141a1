"""The bus as a pipe: lines on standard input and standard output, as users of ZMap and banner-grab work.

Nothing survives a pipe, so nothing is committed; what it does have is back-pressure in both directions. Input is read
only when it is asked for, and output is waited for. Descriptors are never made non-blocking: they are shared with
other programs (a shell, a terminal), whose reads and writes would fail with EAGAIN. Input is read when epoll says that
it is there, where the loop can watch it (pipes, sockets, terminals), and otherwise by a thread (regular files); output
is written by a thread.

Memory is bounded by MAX_LINE_BYTES: of a longer line its beginning is handed on, which is too long for any record and
so becomes a dead letter, and the rest is skipped. Dead letters are JSON lines on standard error or in a file, their
bytes as base64.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, TypeVar

import orjson

from stages.core.bus.base import Chunk, OnRevoke, Output, Partition, Source
from stages.core.bus.batching import is_whole
from stages.core.bus.topics import is_side
from stages.core.deadletters import described
from stages.core.errors import HostError, ReaderGone, UsageError
from stages.core.records import MAX_RECORD_BYTES

log = logging.getLogger("longline.bus.pipe")

T = TypeVar("T")

#: Bytes of one read: a pipe holds 64 KiB (pipe(7)); of a file more is cheaper.
READ_BYTES: Final = 256 << 10

#: The longest line that is handed on whole. Larger than a record may be, so that a dead letter is whole as a rule.
MAX_LINE_BYTES: Final = 4 * MAX_RECORD_BYTES

#: Most lines in a chunk, so that finished work leaves the books in small pieces.
CHUNK_LINES: Final = 250

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2


class _Worker:
    """One daemon thread that does blocking calls in turn. A call that never returns does not hold up the exit."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop] | None]
        self._calls = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def call(self, fn: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.put((fn, future, loop))
        return future

    def end(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            fn, future, loop = item
            result, error = None, None
            try:
                result = fn()
            except OSError as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, future, result, error)


def _resolve(future: asyncio.Future[Any], result: Any, error: OSError | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


class LineSplitter:
    """Bytes in, lines out: without their ends (LF or CRLF) and without blank ones; bounded. Pure."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._skipping = False
        self.cut = 0  #: lines of which only the beginning was handed on

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        head, newline, tail = data.partition(b"\n") if self._size or self._skipping else (b"", b"", data)
        lines: list[bytes] = []
        if newline:
            lines += self._finish(head)
        elif head:
            return self._keep(head)
        last = tail.rfind(b"\n")
        if last >= 0:
            for line in tail[:last].split(b"\n"):
                lines += self._finish(line)
            tail = tail[last + 1 :]
        if tail:
            lines += self._keep(tail)
        return [line for line in lines if line]

    def end(self) -> list[bytes]:
        """The input has ended: a last line without an end."""
        return [line for line in self._finish(b"") if line]

    def _keep(self, part: bytes) -> list[bytes]:
        if self._skipping:
            return []
        self._parts.append(part)
        self._size += len(part)
        if self._size <= self._limit:
            return []
        line = b"".join(self._parts)[: self._limit]
        self._parts, self._size, self._skipping = [], 0, True
        self.cut += 1
        return [line]

    def _finish(self, part: bytes) -> list[bytes]:
        if self._skipping:
            self._skipping = False
            return []
        line = part
        if self._parts:
            line = b"".join([*self._parts, part])
            self._parts, self._size = [], 0
        if len(line) > self._limit:
            self.cut += 1
            line = line[: self._limit]
        return [line.removesuffix(b"\r")]


class PipeSource:
    """The lines of a descriptor, as partition 0 of `topic`."""

    ended = False

    def __init__(self, topic: str, fd: int = STDIN) -> None:
        self.topic = topic
        self.fd = fd
        self._splitter = LineSplitter()
        self._lines: deque[bytes] = deque()
        self._offset = 0  # lines handed out
        self._committed = 0
        self._over = False
        self._worker: _Worker | None = None
        self._reading: asyncio.Future[bytes] | None = None
        self._watchable = sys.platform != "win32"  # there a loop watches sockets only
        self.ready = False

    async def start(self, on_revoke: OnRevoke) -> None:
        try:
            os.fstat(self.fd)
        except OSError as error:
            raise HostError(f"descriptor {self.fd} cannot be read: {error.strerror}") from None
        if os.isatty(self.fd):
            log.info("reading from the terminal, one target a line; ^D on a line of its own ends")
        self.ready = True

    async def poll(self, max_records: int, timeout: float) -> list[Chunk]:
        if max_records <= 0:
            await asyncio.sleep(timeout)
            return []
        if not self._lines and not self._over:
            await self._read(timeout)
        chunks: list[Chunk] = []
        left = min(max_records, len(self._lines))
        while left:
            count = min(left, CHUNK_LINES)
            lines = [self._lines.popleft() for _ in range(count)]
            chunks.append(Chunk(self.topic, 0, self._offset, self._offset + count, lines))
            self._offset += count
            left -= count
        self.ended = self._over and not self._lines
        return chunks

    async def _read(self, timeout: float) -> None:
        """One read, if there is something within `timeout`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not self._lines and not self._over:
            data = await self._some(max(0.0, deadline - loop.time()))
            if data is None:
                return
            if data:
                self._lines.extend(self._splitter.feed(data))
            else:
                self._over = True
                self._lines.extend(self._splitter.end())
                if self._splitter.cut:
                    log.warning("%d input lines were longer than %d bytes", self._splitter.cut, MAX_LINE_BYTES)

    async def _some(self, timeout: float) -> bytes | None:
        """What one read gives; None if nothing came in time."""
        if self._watchable:
            try:
                if not await self._readable(timeout):
                    return None
                return os.read(self.fd, READ_BYTES)
            except BlockingIOError:  # somebody else was quicker
                return None
            except (NotImplementedError, PermissionError, ValueError):  # no loop watches a regular file (epoll_ctl(2))
                self._watchable = False
            except OSError as error:
                raise HostError(f"reading input: {error.strerror}") from error
        if self._reading is None:
            if self._worker is None:
                self._worker = _Worker("pipe-reader")
            self._reading = self._worker.call(lambda: os.read(self.fd, READ_BYTES))
        reading = self._reading
        await asyncio.wait({reading}, timeout=timeout)
        if not reading.done():
            return None  # the read goes on; the next poll asks for it again
        self._reading = None
        try:
            return reading.result()
        except OSError as error:
            raise HostError(f"reading input: {error.strerror}") from error

    async def _readable(self, timeout: float) -> bool:
        loop = asyncio.get_running_loop()
        there: asyncio.Future[None] = loop.create_future()

        def seen() -> None:
            loop.remove_reader(self.fd)
            if not there.done():
                there.set_result(None)

        blocking = os.get_blocking(self.fd)
        loop.add_reader(self.fd, seen)
        try:
            os.set_blocking(self.fd, blocking)  # libuv (uvloop) has just changed it, for all who share the descriptor
            await asyncio.wait({there}, timeout=timeout)
        finally:
            loop.remove_reader(self.fd)
        return there.done()

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        self._committed = max(self._committed, positions.get((self.topic, 0), 0))

    async def lag(self) -> int:
        """Lines read and not done; what the pipe still holds cannot be known."""
        return self._offset - self._committed + len(self._lines)

    async def close(self) -> None:
        self.ready = False
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._worker is not None:
            self._worker.end()
            self._worker = None


class PipePublisher:
    """Writes the values of `topic` as lines; dead letters go to `dead` (a file, or standard error).

    `topic` None: no lines at all. Records of other topics are left out: a pipe has one reader.
    """

    def __init__(self, topic: str | None, fd: int = STDOUT, *, dead: str | None = None, stage: str = "") -> None:
        self.topic = topic
        self.fd = fd
        self.ready = False
        self._dead_file = dead
        self._dead_fd = STDERR
        self._stage = stage
        self._worker: _Worker | None = None

    async def start(self) -> None:
        if self._dead_file is not None:
            try:
                self._dead_fd = os.open(self._dead_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise UsageError("--dead", self._dead_file, f"cannot be written: {error.strerror}") from None
        self._worker = _Worker("pipe-writer")
        self.ready = True

    async def publish(self, outputs: Sequence[Output]) -> None:
        if not outputs:
            return
        if self._worker is None:
            raise HostError("output is not open")
        lines = [output.value for output in outputs if output.topic == self.topic and not is_whole(output.headers)]
        dead = [self._letter(output) for output in outputs if is_whole(output.headers) and is_side(output.topic)]
        if dead:
            await self._write(self._dead_fd, b"\n".join([*dead, b""]), "dead letters")
        if lines:
            await self._write(self.fd, b"\n".join([*lines, b""]), "output")

    def _letter(self, output: Output) -> bytes:
        """As `stages.core.schema.DeadModel` has it."""
        return orjson.dumps(described(output.headers or {}, output.value, self._stage))

    async def _write(self, fd: int, data: bytes, what: str) -> None:
        assert self._worker is not None
        try:
            await self._worker.call(lambda: write_all(fd, data))
        except BrokenPipeError:
            self.ready = False
            raise ReaderGone(f"{what}: nobody reads any more") from None
        except OSError as error:
            self.ready = False
            raise HostError(f"{what}: {error.strerror}") from error

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        await self.publish(outputs)
        if source is not None and positions:
            await source.commit(positions)

    async def close(self) -> None:
        self.ready = False
        if self._worker is not None:
            self._worker.end()
            self._worker = None
        if self._dead_fd != STDERR:
            os.close(self._dead_fd)
            self._dead_fd = STDERR


def write_all(fd: int, data: bytes) -> None:
    """Write everything, also to a descriptor that somebody else has made non-blocking. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError as error:
            if error.errno != errno.EAGAIN:
                raise
            select.select([], [fd], [])
