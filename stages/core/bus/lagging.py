"""What a scanner does when those who take its hits fall behind: `--on-lag pause`, `drop` or `spill`.

A broker takes what it is given, however far its readers are behind, until its retention throws it away unread.
`Lagging` stands before a publisher, looks how far the slowest reader of the hits is behind, and lets through no more
than what is left to the bound before it looks again: so the bound holds but for one batch. At the bound

    pause   publishing waits, so that the scan stops sending when its own queue is full; nothing is lost
    drop    hits are left out and counted; what they would have said is not known afterwards
    spill   hits go to a file, in order, and into the log once there is room again; a file that is left over when the
            scan is stopped is published first by the next one

and at half of it things go on. What is said of the scan itself always passes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import orjson

from stages.core.bus.base import Output, Partition, Publisher, Source
from stages.core.errors import HostError, LonglineError, UsageError

log = logging.getLogger("longline.bus.lagging")

Way = Literal["pause", "drop", "spill"]

#: Seconds between two looks how far readers are behind, while they are; before that it is looked when it matters.
LOOK_SECONDS: Final = 2.0

#: Where it goes on, of the bound.
ENOUGH: Final = 0.5

#: Records of the file published at once.
BATCH: Final = 2_000

#: What the file is held to: some 20 million hits.
MAX_SPILL_BYTES: Final = 8 << 30


class Lagging:
    """A Publisher. `behind` tells how many records of `topics` their slowest reader has not done; what it raises leaves
    things as they are. `on_dropped` gets the number of records left out."""

    def __init__(
        self,
        publisher: Publisher,
        topics: frozenset[str],
        behind: Callable[[], Awaitable[int]],
        *,
        at_most: int,
        way: Way,
        spill: Path | None = None,
        on_dropped: Callable[[int], None] = lambda n: None,
        look_seconds: float = LOOK_SECONDS,
        max_spill_bytes: int = MAX_SPILL_BYTES,
    ) -> None:
        if (way == "spill") != (spill is not None):
            raise UsageError("--spill-file", None if spill is None else str(spill), "goes with --on-lag spill, it only")
        self._publisher = publisher
        self._topics = topics
        self._behind = behind
        self._most = at_most
        self._way = way
        self._file = None if spill is None else _Spill(spill, max_spill_bytes)
        self._on_dropped = on_dropped
        self._every = look_seconds
        self._room = asyncio.Event()
        self._room.set()
        self._left = at_most  #: hits that may pass before the next look
        self._looking = asyncio.Lock()
        self._empty = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        return self._publisher.ready

    async def start(self) -> None:
        """Raises what the publisher raises, and HostError for a file that cannot be written."""
        await self._publisher.start()
        if self._file is not None:
            await asyncio.to_thread(self._file.open)
        self._tasks = [asyncio.create_task(self._keep_looking(), name="lag look")]
        if self._file is not None:
            self._tasks.append(asyncio.create_task(self._give_back(), name="lag spill"))

    async def publish(self, outputs: Sequence[Output]) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
        hits = [output for output in outputs if output.topic in self._topics]
        if hits and await self._full():
            if self._way == "pause":
                await self._room.wait()
            else:
                await self._keep_back(hits)
                outputs = [output for output in outputs if output.topic not in self._topics]
                hits = []
        self._left -= len(hits)
        if outputs:
            await self._publisher.publish(outputs)

    async def _full(self) -> bool:
        """Whether hits may not pass now. While the file is not empty they go behind what is in it."""
        if self._room.is_set() and not self._spilled and self._left <= 0:
            await self._look()
        return not self._room.is_set() or self._spilled > 0

    async def _keep_back(self, hits: Sequence[Output]) -> None:
        if self._file is None:
            self._on_dropped(len(hits))
        else:
            await asyncio.to_thread(self._file.add, hits)

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        await self.publish(outputs)
        await self._publisher.settle([], source, positions)

    async def close(self) -> None:
        """What is spilled stays in its file."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._file is not None:
            left = await asyncio.to_thread(self._file.close)
            if left:
                log.warning("%d hits wait in %s: the next scan with it publishes them first", left, self._file.path)
        await self._publisher.close()

    async def emptied(self) -> None:
        """Wait until nothing is spilled any more, once nothing more is published."""
        while self._spilled:
            self._empty.clear()
            await self._empty.wait()

    @property
    def _spilled(self) -> int:
        return 0 if self._file is None else self._file.records

    async def _look(self) -> None:
        """See how far readers are behind, and whether that is too far."""
        async with self._looking:
            try:
                behind = await self._behind()
            except LonglineError as error:
                log.debug("how far readers are behind cannot be told: %s", error)
                self._left = max(self._left, 1)
                return
            self._left = self._most - behind
            if behind >= self._most and self._room.is_set():
                self._room.clear()
                log.warning("those who take the hits are %d behind: %s", behind, _SAID[self._way])
            elif behind <= self._most * ENOUGH and not self._room.is_set():
                self._room.set()
                log.info("those who take the hits are %d behind: going on", behind)

    async def _keep_looking(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(self._every)

    async def _give_back(self) -> None:
        """Publish what is spilled, while there is room."""
        assert self._file is not None
        while True:
            await self._room.wait()
            if self._left <= 0:
                await self._look()
                continue
            batch = await asyncio.to_thread(self._file.first, min(BATCH, self._left))
            if not batch:
                await asyncio.sleep(self._every)
                continue
            self._left -= len(batch)
            try:
                await self._publisher.publish(batch)
            except LonglineError as error:
                if not error.retry:
                    raise  # to who publishes next
                log.warning("what is spilled cannot be given back yet: %s", error)
                await asyncio.sleep(self._every)
                continue
            await asyncio.to_thread(self._file.done, len(batch))
            if not self._spilled:
                self._empty.set()


_SAID: Final[dict[Way, str]] = {
    "pause": "sending will pause", "drop": "hits are dropped", "spill": "hits are spilled to the file",
}  # fmt: skip


class _Spill:
    """Records in a file, first in first out; where it was left is found again. For several threads."""

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self.records = 0
        self._most = most
        self._at = 0  #: bytes that are done
        self._ends: list[int] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """Raises HostError, UsageError: the file is none of ours."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._out = os.fdopen(descriptor, "ab")
            self._in = self.path.open("rb")
        except OSError as error:
            raise HostError(f"{self.path}: {error.strerror}") from error
        whole = 0
        for line in self._in:
            if line.endswith(b"\n"):  # else a crash cut it off
                whole += len(line)
                self.records += 1
        os.ftruncate(self._out.fileno(), whole)
        if self.records:
            self.first(1)
            log.info("%d hits that were spilled come first", self.records)

    def add(self, outputs: Sequence[Output]) -> None:
        """Raises HostError: the disk is full, or the file at its bound."""
        lines = b"".join(
            orjson.dumps(
                {
                    "topic": output.topic,
                    "key": b64encode(output.key).decode(),
                    "value": b64encode(output.value).decode(),
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for output in outputs
        )
        with self._lock:
            try:
                if os.fstat(self._out.fileno()).st_size + len(lines) > self._most:
                    raise HostError(f"{self.path}: {self._most} bytes are spilled, and those who take hits are behind")
                self._out.write(lines)
                self._out.flush()
                os.fsync(self._out.fileno())
            except OSError as error:
                raise HostError(f"{self.path}: {error.strerror}") from error
            self.records += len(outputs)

    def first(self, count: int) -> list[Output]:
        """The oldest that are not done. Raises UsageError: the file is none of ours."""
        self._in.seek(self._at)
        found: list[Output] = []
        self._ends = []
        while len(found) < count and (line := self._in.readline()).endswith(b"\n"):
            try:
                said = orjson.loads(line)
                found.append(Output(said["topic"], b64decode(said["key"]), b64decode(said["value"])))
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise UsageError("--spill-file", str(self.path), f"no file of spilled hits: {error}") from None
            self._ends.append(self._in.tell())
        return found

    def done(self, count: int) -> None:
        """The `count` oldest are acknowledged."""
        with self._lock:
            self._at = self._ends[count - 1]
            self.records -= count
            if not self.records:
                os.ftruncate(self._out.fileno(), 0)
                self._at = 0

    def close(self) -> int:
        """How many are left. What is done is taken out of the file."""
        left = self.records
        if self._at:
            self._in.seek(self._at)
            part = self.path.with_name(f"{self.path.name}.part")
            part.write_bytes(self._in.read())
            part.chmod(0o600)
            part.replace(self.path)
        self._in.close()
        self._out.close()
        if not left:
            self.path.unlink(missing_ok=True)
        return left
