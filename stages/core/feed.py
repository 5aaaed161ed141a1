"""One source as the runner sees it: what is in hand, what is finished and not yet settled, and whether to read on.

Water marks: intake pauses when too much is in hand (records or bytes, in flight or waiting or unsettled) or when a
partition's uncommitted span is at its bound, and goes on below the low marks. A pause is for the whole source; the
source is still asked with `max_records` 0, so that its membership lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stages.core.bus.base import Chunk, Output, Partition, Source
from stages.core.job import Desk
from stages.core.offsets import Entry, Offsets, Span

#: Bytes of chunks and of unsettled results in hand at which intake pauses: a record may have a megabyte.
HIGH_BYTES: Final = 64 * 2**20

#: Where it goes on.
LOW_BYTES: Final = HIGH_BYTES // 2


@dataclass(slots=True, frozen=True)
class Group:
    """What is settled at once: results, and the positions that may be committed when they are acknowledged."""

    outputs: Sequence[Output]
    size: int
    positions: Mapping[Partition, int]


class Feed:
    """`high` and `low` are records; `desk` is where its finished jobs lie."""

    def __init__(self, source: Source, offsets: Offsets, desk: Desk, high: int, low: int) -> None:
        self.source = source
        self.desk = desk
        desk.owner = self
        self.offsets = offsets
        self.high = high
        self.low = min(low, high - 1)
        self.outputs: list[Output] = []  #: finished, not yet handed out
        self.backlog = 0  #: results not acknowledged
        self.backlog_bytes = 0
        self.records = 0  #: lines in hand
        self.bytes = 0  #: of the chunks in hand
        self.paused = False
        self.ended = False
        self.settling = False  #: a group is out
        self.news = asyncio.Event()  #: there is something to settle
        self.enough = asyncio.Event()  #: so much that it should not wait
        self._room = asyncio.Event()

    # --- intake

    def take(self, chunk: Chunk) -> Entry:
        """Take a chunk in hand."""
        lines = chunk.lines
        size = sum(map(len, lines))
        entry = self.offsets.add((chunk.topic, chunk.partition), chunk.offset, chunk.next_offset, len(lines), size)
        self.records += entry.lines
        self.bytes += size
        return entry

    def room(self) -> int:
        """Records that may be read now; 0 while paused."""
        load, load_bytes = self.records + self.backlog, self.bytes + self.backlog_bytes
        if self.paused:
            if load > self.low or load_bytes > LOW_BYTES or self.offsets.full:
                return 0
            self.paused = False
        elif load >= self.high or load_bytes >= HIGH_BYTES or self.offsets.full:
            self.paused = True
            self._room.clear()
            return 0
        return self.high - load

    def look(self) -> None:
        """Something left the hand: wake whoever waits for room, if there is some."""
        if self.paused and not self._room.is_set() and self.room():
            self._room.set()

    async def wait_room(self, timeout: float) -> None:
        """Wait for room, at most `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._room.wait()
        except TimeoutError:
            return

    # --- finished

    def add(self, outputs: Sequence[Output]) -> None:
        """Results of finished records."""
        self.outputs.extend(outputs)
        size = 0
        for output in outputs:
            size += len(output.value)
        self.backlog += len(outputs)
        self.backlog_bytes += size

    def finished(self, entry: Entry) -> list[Entry]:
        """`entry` has no line left; returns what this adds to the finished prefix."""
        self.bytes -= entry.size
        return self.offsets.finished(entry)

    def lose(self, spans: Sequence[Span]) -> int:
        """These are taken away. Returns how many of their lines were not finished."""
        left = 0
        for span in spans:
            for entry in span.pending:
                if entry.left:
                    left += entry.left
                    self.bytes -= entry.size
        self.records -= left
        self.offsets.lose(spans)
        self.look()
        return left

    def stir(self, records: int, size: int) -> None:
        """Something was finished: it is time to settle, at once if as many `records` or bytes (`size`) wait."""
        if self.outputs or self.offsets.dirty:
            self.news.set()
            if len(self.outputs) >= records or self.backlog_bytes >= size:
                self.enough.set()
        self.look()

    # --- settling

    def hand_out(self) -> Group:
        """Everything finished so far. `settled` or `returned` must follow before the next call."""
        group = Group(self.outputs, self.backlog_bytes, self.offsets.report())
        self.outputs = []
        self.settling = True
        self.news.clear()
        self.enough.clear()
        return group

    def settled(self, group: Group) -> None:
        """`group` is published and committed."""
        self.settling = False
        self.backlog -= len(group.outputs)
        self.backlog_bytes -= group.size
        self.offsets.acknowledge(group.positions)
        self.look()
        self.desk.wake()

    @property
    def clean(self) -> bool:
        """Everything that is finished is settled."""
        return not self.settling and not self.outputs and not self.offsets.dirty

    @property
    def idle(self) -> bool:
        """Nothing is in hand at all."""
        return not self.records and self.clean
