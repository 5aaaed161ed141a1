"""Where results go: a file (or standard output), the bus, or both. `write` returns when what it was given is safe
there, as far as the destination can know."""

from __future__ import annotations

import asyncio
import errno
import logging
import mmap
import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final, Protocol

from stages.core.bus.base import Output, Publisher, Topics
from stages.core.errors import HostError, LonglineError, ReaderGone, Unavailable, UsageError
from stages.core.pacing import backoff
from stages.core.records import Scan
from stages.net.linebatch import LineBatch
from stages.scanner.hits import HitLines
from stages.scanner.outputs.base import Ending, OutputModule, Raw, Saying, Updating
from stages.scanner.plugins.base import Progress
from stages.scanner.rows import Answer

log = logging.getLogger("longline.scanner.destination")

#: The name of standard output.
STDOUT: Final = "-"

#: Records handed to the bus at once: a transaction of some milliseconds, and what is published twice at most when a
#: write fails half-way.
PUBLISH_BATCH: Final = 2_000

#: Seconds between two looks, while a full log makes us wait, whether to give it up.
LOOK_SECONDS: Final = 0.25

#: Seconds between two tries to publish.
FIRST_BACKOFF: Final = 0.1
MAX_BACKOFF: Final = 5.0


class Destination(Protocol):
    """Takes results."""

    async def write(self, answers: Sequence[Answer]) -> None: ...

    async def settle(self) -> None:
        """Make what was written as durable as it gets, before a checkpoint says so."""

    async def close(self) -> None: ...


class FileDestination:
    """An output module on a file."""

    def __init__(self, name: str, file: BinaryIO, module: OutputModule) -> None:
        self._name = name
        self._file = file
        self._module = module
        self._failed = self._begun = False
        self._one = asyncio.Lock()  # the writer and the clock write here
        mode = os.fstat(file.fileno()).st_mode
        self._regular = stat.S_ISREG(mode)
        self.pipe = stat.S_ISFIFO(mode)

    @classmethod
    def open(cls, name: str, module: OutputModule, place: str = "-o/--output-file") -> FileDestination:
        """Open for writing, and change nothing yet. Raises UsageError when it cannot be written; `place` named it."""
        if name == STDOUT:
            descriptor = os.dup(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
        else:
            try:
                descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise UsageError(place, name, f"cannot be written: {error.strerror}") from None
        return cls(name, open(descriptor, "wb", closefd=True), module)

    async def begin(self, *, append: bool) -> None:
        """Empty the file, or with `append` go on at its end; write what stands at the top of a new one."""
        await asyncio.to_thread(self._begin, append)

    async def write(self, answers: Sequence[Answer]) -> None:
        if answers:
            async with self._one:
                await asyncio.to_thread(self._write, self._module.render(answers))

    @property
    def interval(self) -> float | None:
        """Seconds between two updates that the module wants; None: it wants none."""
        return self._module.interval if isinstance(self._module, Updating) else None

    @property
    def raw(self) -> Callable[[bytes], None] | None:
        """Where the packets themselves are to go; None: nowhere."""
        return self._module.packets if isinstance(self._module, Raw) else None

    async def update(self, progress: Progress) -> None:
        """Write what the module says of it."""
        if isinstance(self._module, Updating):
            async with self._one:
                await asyncio.to_thread(self._write, self._module.update(progress))

    async def write_lines(self, lines: Sequence[tuple[bytes, bytes]]) -> None:
        """Records of conversations, as (key, line)."""
        if not lines:
            return
        if isinstance(self._module, Saying):
            data = self._module.said([line for _, line in lines])
        elif isinstance(lines, LineBatch):
            data = lines.data
        else:
            data = b"".join([line + b"\n" for _, line in lines])
        async with self._one:
            await asyncio.to_thread(self._write, data)

    async def settle(self) -> None:
        if self._regular:
            await asyncio.to_thread(self._sync)

    async def close(self) -> None:
        try:
            if self._begun and not self._failed:
                await asyncio.to_thread(self._finish)
            self._file.close()
        except OSError as error:
            if not self._failed:  # what a failed write left in the buffer fails again, and was told
                raise self._mapped(error) from None

    def _begin(self, append: bool) -> None:
        size = 0
        if self._regular and self._name != STDOUT:
            if append:
                size = self._file.seek(0, os.SEEK_END)
                if size and isinstance(self._module, Ending):
                    size = self._go_on(self._module, size)
            else:
                self._file.truncate(0)
        self._begun = True
        if not size:
            self._write(self._module.begin(), anyway=True)

    def _go_on(self, module: Ending, size: int) -> int:
        """Cut the end off a file that is gone on with."""
        with open(self._name, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            kept = module.keep(data)
        self._file.truncate(kept)
        self._file.seek(kept)
        return kept

    def _write(self, data: bytes, *, anyway: bool = False) -> None:
        """One system call writes rows and, where the format is whole only with it, the end, which the next rows
        overwrite: the file is whole whenever none is under way."""
        if not data and not anyway:
            return
        try:
            module = self._module
            if self._regular and isinstance(module, Ending) and module.closed:
                end = module.end()
                self._file.write(data + end)
                self._file.flush()
                self._file.seek(-len(end), os.SEEK_CUR)
                return
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise self._mapped(error) from None

    def _finish(self) -> None:
        """Write what stands at the end of the format."""
        if not isinstance(self._module, Ending):
            return
        self._file.write(self._module.end())
        self._file.flush()
        if self._regular and self._name != STDOUT:
            self._file.truncate()

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._mapped(error) from None

    def _mapped(self, error: OSError) -> HostError:
        self._failed = True
        if error.errno == errno.EPIPE:
            return ReaderGone(f"{self._name}: nobody reads any more")
        return HostError(f"results cannot be written to {self._name}: {error.strerror or error}")


class BusDestination:
    """The hits topic, by prefix; and the scans topic for the scan's own records."""

    def __init__(
        self,
        publisher: Publisher,
        topics: Topics,
        hits: HitLines,
        *,
        on_retry: Callable[[], None] = lambda: None,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """`on_retry` is called for each failed try; `give_up`: whether to stop trying, or waiting for room."""
        self._publisher = publisher
        self._topics = topics
        self._hits = hits
        self.topic_of_hits = topics.hits
        self.topic_of_lines = topics.banners
        self._on_retry = on_retry
        self._give_up = give_up

    async def write(self, answers: Sequence[Answer]) -> None:
        """Publish hits; returns when all are acknowledged. Raises what is not to be tried again."""
        topic = self.topic_of_hits
        for at in range(0, len(answers), PUBLISH_BATCH):
            keyed = self._hits.keyed(answers[at : at + PUBLISH_BATCH])
            await self._publish([Output(topic, key, line) for key, line in keyed])

    async def write_lines(self, lines: Sequence[tuple[bytes, bytes]]) -> None:
        """Publish records of conversations, as (key, line), to `topic_of_lines`."""
        for at in range(0, len(lines), PUBLISH_BATCH):
            await self._publish([Output(self.topic_of_lines, *each) for each in lines[at : at + PUBLISH_BATCH]])

    async def record(self, scan: Scan) -> None:
        """Publish the start, the progress or the end of a scan."""
        await self._publish([Output(self._topics.scans, scan.scan.encode(), scan.dump())])

    async def settle(self) -> None:
        """Published is acknowledged."""

    async def close(self) -> None:
        """The publisher belongs to whoever opened it."""

    async def _publish(self, outputs: list[Output]) -> None:
        attempt = 0
        while True:
            try:
                await self._patiently(outputs)
            except LonglineError as error:
                if not error.retry or self._give_up():
                    raise
                if attempt == 0:
                    log.warning("the log cannot be written, trying again: %s", error)
                self._on_retry()
                await asyncio.sleep(backoff(attempt, FIRST_BACKOFF, MAX_BACKOFF))
                attempt += 1
            else:
                if attempt:
                    log.info("the log can be written again")
                return

    async def _patiently(self, outputs: list[Output]) -> None:
        """Publish. A full log makes us wait as long as its readers need, but not for ever once the scan is stopped."""
        publishing = asyncio.ensure_future(self._publisher.publish(outputs))
        try:
            while not (await asyncio.wait([publishing], timeout=LOOK_SECONDS))[0]:
                if self._give_up():
                    raise Unavailable("the log takes nothing any more: it is full, and nobody reads it")
            publishing.result()
        finally:
            if not publishing.done():
                publishing.cancel()
                await asyncio.wait([publishing])
