"""Which targets have answered before: sets of 63-bit keys that work on whole batches.

    full     every answer is remembered: exact, for any number of ports; up to 4 bytes of memory for each where at
             least one target in a hundred answers, 450 for a lone one (`stages.scanner.containers`)
    window   at least the last `window` answers are remembered, at most twice as many: bounded memory
    none     nothing is a repeat

A key is a target's position and whether the answer was a success: a RST that comes before the SYN-ACK does not make the
SYN-ACK a repeat. Neighbouring positions have neighbouring keys.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.net.jit import kernel
from stages.scanner.containers import Containers
from stages.scanner.seenlog import SUCCESS_BIT
from stages.scanner.space import U64Array

Method: TypeAlias = Literal["full", "window", "none"]

#: A table starts with this many slots (512 KiB) and doubles.
_MIN_SLOTS: Final = 1 << 16
#: Filled at most so far, in tenths: linear probing stays short.
_FILL_TENTHS: Final = 6

#: Above every position.
_SUCCESS = np.uint64(SUCCESS_BIT)
_EMPTY = np.uint64((1 << 64) - 1)  # no key: a position is below 2^62
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: the product's high bits are well mixed
_S32 = np.uint64(32)


@kernel
def _insert(slots: Any, keys: Any, older: Any, known: Any) -> Any:
    """Add `keys` to `slots`; known[i] = 1 where keys[i] was there or is in `older`. Returns the number of new ones."""
    mask = np.uint64(slots.size - 1)
    old_mask = np.uint64(older.size - 1)
    added = 0
    for i in range(keys.size):
        key = keys[i]
        mixed = (key * _SPREAD) ^ ((key * _SPREAD) >> _S32)
        known[i] = 0
        if older.size:
            at = np.int64(mixed & old_mask)
            while older[at] != _EMPTY:
                if older[at] == key:
                    known[i] = 1
                    break
                at = np.int64(np.uint64(at + 1) & old_mask)
        at = np.int64(mixed & mask)
        while slots[at] != _EMPTY and slots[at] != key:
            at = np.int64(np.uint64(at + 1) & mask)
        if slots[at] == key:
            known[i] = 1
        else:
            slots[at] = key
            added += 1
    return added


def keys_of(positions: U64Array, success: npt.NDArray[np.bool_]) -> U64Array:
    """`stages.scanner.seenlog.key_of` of many."""
    return positions | np.where(success, _SUCCESS, np.uint64(0))


class Seen:
    """The answers seen so far. One thread."""

    def __init__(self, method: Method, window: int) -> None:
        """`window` >= 1 counts answers. Raises ValueError."""
        if method not in ("full", "window", "none") or window < 1:
            raise ValueError(f"no dedup method {method!r} with a window of {window}")
        self.method = method
        self._window = window
        self._nothing: U64Array = np.empty(0, np.uint64)
        self._older = self._nothing
        self._slots = _table(_MIN_SLOTS)
        self._used = 0
        self._all = Containers() if method == "full" else None

    def mark(self, keys: U64Array) -> npt.NDArray[np.uint8]:
        """For each key whether it was seen before (1) or not (0); remembers them all."""
        if self._all is not None:
            return self._all.insert(keys)
        known = np.zeros(keys.size, np.uint8)
        if self.method != "none" and keys.size:
            self._make_room(keys.size)
            self._used += int(_insert(self._slots, keys, self._older, known))
        return known

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return self._slots.nbytes + self._older.nbytes + (0 if self._all is None else self._all.nbytes)

    def _make_room(self, more: int) -> None:
        if self._used >= self._window:
            self._older, self._slots, self._used = self._slots, _table(_MIN_SLOTS), 0
        needed = self._slots.size
        while (self._used + more) * 10 > needed * _FILL_TENTHS:
            needed *= 2
        if needed != self._slots.size:
            grown = _table(needed)
            held = self._slots[self._slots != _EMPTY]
            _insert(grown, held, self._nothing, np.empty(held.size, np.uint8))
            self._slots = grown


def _table(slots: int) -> U64Array:
    return np.full(slots, _EMPTY, np.uint64)
