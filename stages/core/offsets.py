"""Which positions of a partition may be committed: those of its contiguous finished prefix.

Records of a partition are finished in any order, since one conversation takes longer than another. A position may be
committed only when everything before it is finished; otherwise a crash would lose what was still in hand. What is
finished behind an unfinished record waits, and would be done again after a crash: this span is bounded, in offsets and
in bytes (`Offsets.full`), so that one slow record cannot make the stage repeat an hour of work.

Pure: no clock, no log. `Entry` is one chunk (one offset or a segment of many lines), `Span` one partition as long as
it is ours. A span taken away is `LOST` for good; if the partition comes back it has a new span.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

from stages.core.bus.base import Partition

#: Offsets of a partition beyond what is committed, at most, unless the settings say otherwise.
MAX_SPAN_OFFSETS: Final = 100_000

#: Bytes of a partition beyond what is committed, at most: what a crash makes us read again, some seconds of work.
MAX_SPAN_BYTES: Final = 64 * 2**20


class State(IntEnum):
    """How a span stands with its log."""

    OURS = 0
    CLOSING = 1  #: being taken away: nothing new is begun, what is in flight may still finish
    LOST = 2  #: taken away: whatever still finishes is dropped


class Span:
    """One partition as long as it is ours. Positions are offsets, `bytes_*` count from the first entry on."""

    __slots__ = (
        "acknowledged",
        "awaited",
        "bytes_acknowledged",
        "bytes_finished",
        "bytes_reported",
        "bytes_taken",
        "dirty",
        "finished",
        "partition",
        "pending",
        "state",
        "taken",
    )

    def __init__(self, partition: Partition, first: int) -> None:
        self.partition = partition
        self.pending: deque[Entry] = deque()
        self.taken = self.finished = self.acknowledged = first
        self.bytes_taken = self.bytes_finished = self.bytes_reported = self.bytes_acknowledged = 0
        self.dirty = False
        self.state = State.OURS
        self.awaited = 0  #: while CLOSING: records in flight which are waited for


class Entry:
    """One chunk in hand. `left` is the number of its lines that are not finished; `dead` of those that died."""

    __slots__ = ("dead", "left", "lines", "next_offset", "offset", "size", "span")

    def __init__(self, span: Span, offset: int, next_offset: int, lines: int, size: int) -> None:
        self.span = span
        self.offset = offset
        self.next_offset = next_offset
        self.lines = lines
        self.left = lines
        self.dead = 0
        self.size = size


class Offsets:
    """The partitions of one consumer.

    The caller lowers `Entry.left` itself (the hot path), and calls `finished` when it is 0. `report` hands out what to
    commit, `acknowledge` says that this was committed; at most one report is out at a time.
    """

    def __init__(self, max_offsets: int = MAX_SPAN_OFFSETS, max_bytes: int = MAX_SPAN_BYTES) -> None:
        self._max_offsets = max_offsets
        self._max_bytes = max_bytes
        self._spans: dict[Partition, Span] = {}
        self._dirty: list[Span] = []

    def add(self, partition: Partition, offset: int, next_offset: int, lines: int, size: int) -> Entry:
        """Take a chunk in hand. Chunks of a partition come in order. A chunk without lines still has to be finished."""
        span = self._spans.get(partition)
        if span is None:
            span = self._spans[partition] = Span(partition, offset)
        entry = Entry(span, offset, next_offset, lines, size)
        span.taken = next_offset
        span.bytes_taken += size
        span.pending.append(entry)
        return entry

    def finished(self, entry: Entry) -> list[Entry]:
        """`entry` has no line left. Returns the entries that this adds to the finished prefix, in order."""
        span = entry.span
        pending = span.pending
        done: list[Entry] = []
        if span.state is State.LOST:
            return done
        while pending and not pending[0].left:
            first = pending.popleft()
            span.finished = first.next_offset
            span.bytes_finished += first.size
            done.append(first)
        if done and not span.dirty:
            span.dirty = True
            self._dirty.append(span)
        return done

    @property
    def dirty(self) -> bool:
        """Whether `report` has something to commit."""
        return bool(self._dirty)

    def report(self) -> dict[Partition, int]:
        """The positions to commit that have moved since the last report."""
        positions: dict[Partition, int] = {}
        for span in self._dirty:
            span.dirty = False
            positions[span.partition] = span.finished
            span.bytes_reported = span.bytes_finished
        self._dirty.clear()
        return positions

    def acknowledge(self, positions: Mapping[Partition, int]) -> None:
        """The last report was committed."""
        for partition, position in positions.items():
            span = self._spans.get(partition)
            if span is not None and span.acknowledged < position <= span.finished:
                span.acknowledged = position
                span.bytes_acknowledged = span.bytes_reported

    @property
    def span(self) -> int:
        """Offsets in the longest uncommitted span."""
        return max((span.taken - span.acknowledged for span in self._spans.values()), default=0)

    @property
    def full(self) -> bool:
        """Whether a span is at its bound, so that nothing more should be taken."""
        for span in self._spans.values():
            if (
                span.taken - span.acknowledged >= self._max_offsets
                or span.bytes_taken - span.bytes_acknowledged >= self._max_bytes
            ):
                return True
        return False

    def close(self, partitions: Iterable[Partition]) -> list[Span]:
        """These partitions are being taken away: their spans, marked CLOSING."""
        spans = [span for at in partitions if (span := self._spans.get(at)) is not None]
        for span in spans:
            span.state = State.CLOSING
        return spans

    def lose(self, spans: Iterable[Span]) -> None:
        """These are gone: nothing of them is reported any more, and whatever still finishes is to be dropped."""
        for span in spans:
            span.state = State.LOST
            span.pending.clear()
            if self._spans.get(span.partition) is span:
                del self._spans[span.partition]
        self._dirty = [span for span in self._dirty if span.state is not State.LOST]

    @property
    def spans(self) -> list[Span]:
        return list(self._spans.values())
