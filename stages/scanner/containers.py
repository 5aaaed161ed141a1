"""An exact set of 63-bit numbers that takes memory only where there are some: after roaring bitmaps (Chambi, Lemire,
Kaser and Godin, "Better bitmap performance with Roaring bitmaps", 2016), made for inserting.

The numbers are cut into *spans* of 2^16. A span that holds any number has a row of 64 slots, one for each 1,024
numbers, and a slot names a *chunk* of 128 bytes:

    list      a header and up to 63 numbers of 16 bits, in no order, what is free filled up with the first one; several
              neighbouring slots may share one
    bitmap    1,024 bits: the 1,024 numbers of one slot

A new span has one list in all of its slots. A list that is full is split in two by the next bit of its numbers, and its
slots are shared out; a list of a single slot becomes a bitmap. All chunks have one size: what has grown leaves no holes
behind, and the arena only ever becomes longer. At one number in a hundred that comes to about 3.5 bytes a number, at
one in two to 1/4.

The spans are found by a hash table. All three arrays are arenas that grow in place (mremap(2)); a kernel that finds no
room says so and is called again. Numbers that come in about their order touch little memory: then an insertion costs
some 10 to 30 ns.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stages.net.jit import kernel, piece
from stages.scanner.space import U64Array

_SLOTS: Final = 64
_CHUNK: Final = 64  # words of 16 bits
_LISTED: Final = _CHUNK - 1  # the first word is the header: depth << 8 | count
_MAX_DEPTH: Final = 6  # 2^6 slots

#: Arenas begin with so many rows, and double: memory that was never touched is none.
_MIN_ROWS: Final = 64
#: The table of spans is filled at most so far, in halves.
_TABLE_HALVES: Final = 1

_EMPTY = np.uint64((1 << 64) - 1)  # no span: a number is below 2^63
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: the product's high bits are well mixed
_S16, _S32 = np.uint64(16), np.uint64(32)
_LOW16 = np.uint64(0xFFFF)
_BITMAP = np.uint32(1 << 31)  # in a slot: its chunk is a bitmap
_CHUNK_OF = np.uint32((1 << 31) - 1)
_SLOTS_N, _CHUNK_N, _LISTED_N, _DEPTH_N = np.int64(_SLOTS), np.int64(_CHUNK), np.int64(_LISTED), np.int64(_MAX_DEPTH)

#: So many numbers ahead memory is asked for.
_AHEAD: Final = 32
_AHEAD_N = np.int64(_AHEAD)

#: What `_insert` says when it stops: all done, or which arena is full.
_DONE, _FULL_TABLE, _FULL_SLOTS, _FULL_CHUNKS = 0, 1, 2, 3


class Arena:
    """Rows of an array that grows in place. `rows` is a view: drop it before `grow`."""

    def __init__(self, dtype: npt.DTypeLike, columns: int, rows: int) -> None:
        self._dtype = np.dtype(dtype)
        self._columns = columns
        # Private: what is shared could not become longer than it was made.
        self._memory = mmap.mmap(-1, rows * columns * self._dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._advise()

    @property
    def rows(self) -> npt.NDArray[Any]:
        return np.frombuffer(self._memory, self._dtype).reshape(-1, self._columns)

    def grow(self) -> None:
        """Twice as many rows; the new ones are zeros, and take no memory until they are written."""
        self._memory.resize(2 * len(self._memory))
        self._advise()

    def _advise(self) -> None:
        """Large pages: numbers in no order miss the TLB otherwise."""
        with suppress(OSError):  # a kernel without them
            self._memory.madvise(mmap.MADV_HUGEPAGE)

    @property
    def count(self) -> int:
        return len(self._memory) // (self._columns * self._dtype.itemsize)


@piece
def _find(table: Any, span: Any) -> Any:
    """Row of the table that has the span, or where it would be."""
    mask = np.uint64(table.shape[0] - 1)
    mixed = (span * _SPREAD) ^ ((span * _SPREAD) >> _S32)
    at = np.int64(mixed & mask)
    while table[at, 0] != _EMPTY and table[at, 0] != span:
        at = np.int64(np.uint64(at + 1) & mask)
    return at


@piece
def _fill_up(chunks: Any, chunk: Any, value: Any, begin: Any) -> None:
    for i in range(begin, _CHUNK_N):
        chunks[chunk, i] = value


@piece
def _split(slots: Any, chunks: Any, row: Any, slot: Any, used: Any) -> None:
    """The full list of `slot` becomes two, the second of which is chunk `used`; one of a single slot a bitmap."""
    chunk = np.int64(slots[row, slot])
    depth = np.int64(chunks[chunk, 0]) >> 8
    if depth == _DEPTH_N:
        for i in range(_CHUNK_N):
            chunks[used, i] = 0
        for i in range(1, _CHUNK_N):
            low = np.int64(chunks[chunk, i]) & 1023
            chunks[used, low >> 4] |= np.uint16(1 << (low & 15))
        for i in range(_CHUNK_N):  # moved back, so that no chunk is lost
            chunks[chunk, i] = chunks[used, i]
            chunks[used, i] = 0
        slots[row, slot] = np.uint32(chunk) | _BITMAP
        return
    bit = np.int64(1) << (15 - depth)
    kept = moved = 0
    for i in range(1, _CHUNK_N):
        value = chunks[chunk, i]
        if np.int64(value) & bit:
            moved += 1
            chunks[used, moved] = value
        else:
            kept += 1
            chunks[chunk, kept] = value
    if kept:
        _fill_up(chunks, chunk, chunks[chunk, 1], kept + 1)
    if moved:
        _fill_up(chunks, used, chunks[used, 1], moved + 1)
    chunks[chunk, 0] = np.uint16(((depth + 1) << 8) | kept)
    chunks[used, 0] = np.uint16(((depth + 1) << 8) | moved)
    width = _SLOTS_N >> (depth + 1)
    first = (slot // (2 * width)) * 2 * width + width
    for i in range(first, first + width):
        slots[row, i] = np.uint32(used)


@piece
def _touch(table: Any, slots: Any, chunks: Any, numbers: Any, begin: Any, end: Any) -> Any:
    """Read what the next numbers will need: independent loads wait for memory together. The sum is of no use."""
    total = np.int64(0)
    for i in range(begin, end):
        at = _find(table, numbers[i] >> _S16)
        if table[at, 0] != _EMPTY:
            named = slots[np.int64(table[at, 1]), np.int64(numbers[i] & _LOW16) >> 10]
            chunk = np.int64(named & _CHUNK_OF)
            total += np.int64(chunks[chunk, 0]) + np.int64(chunks[chunk, _CHUNK_N - 1])
    return total


@kernel
def _insert(table: Any, slots: Any, chunks: Any, used: Any, numbers: Any, known: Any, begin: Any) -> Any:
    """Add numbers[begin:]; known[i] = 1 where one was there. `used`: spans, chunks in use, counted on. Returns (what
    stopped it, index of the first number that was not added)."""
    last, row = _EMPTY, np.int64(-1)
    most_spans = table.shape[0] // 2 * _TABLE_HALVES
    for i in range(begin, numbers.size):
        if (i - begin) % _AHEAD_N == 0:
            used[2] = _touch(table, slots, chunks, numbers, i, min(i + _AHEAD_N, numbers.size))
        number = numbers[i]
        span, low = number >> _S16, np.int64(number & _LOW16)
        if span != last:
            at = _find(table, span)
            if table[at, 0] == _EMPTY:
                if used[0] >= most_spans:
                    return _FULL_TABLE, i
                if used[0] >= slots.shape[0]:
                    return _FULL_SLOTS, i
                if used[1] >= chunks.shape[0]:
                    return _FULL_CHUNKS, i
                table[at, 0], table[at, 1] = span, np.uint64(used[0])
                for j in range(_SLOTS_N):
                    slots[used[0], j] = np.uint32(used[1])
                chunks[used[1], 0] = 0
                used[0] += 1
                used[1] += 1
            last, row = span, np.int64(table[at, 1])
        slot = low >> 10
        while True:
            named = slots[row, slot]
            chunk = np.int64(named & _CHUNK_OF)
            if named & _BITMAP:
                word, bit = (low & 1023) >> 4, np.uint16(1 << (low & 15))
                known[i] = (chunks[chunk, word] & bit) != 0
                chunks[chunk, word] |= bit
                break
            count = np.int64(chunks[chunk, 0]) & 255
            if count == 0:
                _fill_up(chunks, chunk, np.uint16(low), 1)
                chunks[chunk, 0] += np.uint16(1)
                known[i] = 0
                break
            short, equal = np.uint16(low), np.int16(0)
            for j in range(1, _CHUNK_N):  # all words: a loop of one length vectorises
                equal |= np.int16(chunks[chunk, j] == short)
            known[i] = equal
            if equal:
                break
            if count < _LISTED_N:
                chunks[chunk, count + 1] = short
                chunks[chunk, 0] += np.uint16(1)
                break
            if used[1] >= chunks.shape[0]:
                return _FULL_CHUNKS, i
            if np.int64(chunks[chunk, 0]) >> 8 < _DEPTH_N:
                _split(slots, chunks, row, slot, used[1])
                used[1] += 1
            else:
                _split(slots, chunks, row, slot, used[1])
    return _DONE, numbers.size


@kernel
def _rehash(old: Any, new: Any) -> None:
    for i in range(old.shape[0]):
        if old[i, 0] != _EMPTY:
            at = _find(new, old[i, 0])
            new[at, 0], new[at, 1] = old[i, 0], old[i, 1]


class Containers:
    """The set. One thread."""

    def __init__(self) -> None:
        self._table: npt.NDArray[np.uint64] = _new_table(_MIN_ROWS)
        self._slots = Arena(np.uint32, _SLOTS, _MIN_ROWS)
        self._chunks = Arena(np.uint16, _CHUNK, _MIN_ROWS)
        self._used = np.zeros(3, np.int64)

    def insert(self, numbers: U64Array) -> npt.NDArray[np.uint8]:
        """For each number (below 2^63) whether it was there (1) or not (0); they are all there now."""
        known = np.zeros(numbers.size, np.uint8)
        state, begin = -1, 0
        while state != _DONE:
            state, begin = _insert(self._table, self._slots.rows, self._chunks.rows, self._used, numbers, known, begin)
            if state == _FULL_TABLE:
                table = _new_table(2 * len(self._table))
                _rehash(self._table, table)
                self._table = table
            elif state == _FULL_SLOTS:
                self._slots.grow()
            elif state == _FULL_CHUNKS:
                self._chunks.grow()
        return known

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return int(self._table.nbytes + self._used[0] * _SLOTS * 4 + self._used[1] * _CHUNK * 2)


def _new_table(rows: int) -> npt.NDArray[np.uint64]:
    table = np.zeros((rows, 2), np.uint64)
    table[:, 0] = _EMPTY
    return table
