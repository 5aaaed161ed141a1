"""Targets on the link itself: every frame bears the MAC of its own target.

After the rows of a batch are filled, the MAC of each row's target is looked up and written over the gateway's. A target
that answered no ARP cannot be sent a frame: its rows are closed up, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stages.net.headers import MAC_BYTES, load32
from stages.net.jit import kernel, piece
from stages.net.spans import Spans
from stages.scanner.frames import FrameBuilder
from stages.scanner.sender import Rows

#: Where the target's address stands in a row.
_TARGET = 30
_MAC = MAC_BYTES


@piece
def _before(sorted_values: Any, value: Any) -> Any:
    """How many of the sorted values are not greater."""
    low, high = 0, sorted_values.size
    while low < high:
        middle = (low + high) >> 1
        if sorted_values[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def address_rows(
    memory: Any, start: Any, stride: Any, offset: Any, rows: Any, lengths: Any,
    firsts: Any, lasts: Any, known: Any, macs: Any, gateway: Any,
) -> Any:  # fmt: skip
    """Write the MAC into each of the rows that begin at `start` in `memory`; close up those that have none.

    `firsts`, `lasts`: ranges of the addresses on the link; `known` (sorted), `macs`: those that have a MAC; `gateway`:
    the MAC for all others, empty if there is none. `lengths` moves with the rows, unless it is empty. Returns the rows
    kept.
    """
    kept = 0
    shift = min(offset, 0)
    for row in range(rows):
        at = start + row * stride
        target = load32(memory, at + _TARGET)
        near = _before(firsts, target)
        which = -1
        if near > 0 and target <= lasts[near - 1]:
            which = _before(known, target) - 1
            if which < 0 or known[which] != target:
                continue
        elif gateway.size == 0:
            continue
        to = start + kept * stride
        if kept != row:
            for i in range(shift, stride + shift):
                memory[to + i] = memory[at + i]
            if lengths.size:
                lengths[kept] = lengths[row]
        for i in range(_MAC):
            memory[to + offset + i] = macs[which, i] if which >= 0 else gateway[i]
        kept += 1
    return kept


class NextHops:
    """Fills rows as the one behind it does, each with the MAC of its next hop. One for each sender thread."""

    def __init__(
        self,
        rows: Rows,
        builder: FrameBuilder,
        near: Spans,
        neighbours: Mapping[int, bytes],
        gateway: bytes | None,
    ) -> None:
        """`near`: the addresses on the link; `neighbours`: MACs of those that have one."""
        self._rows = rows
        self._builder = builder
        known = sorted(neighbours)
        self._firsts = near.firsts.astype(np.uint64)
        self._lasts = near.lasts.astype(np.uint64)
        self._known = np.array(known, np.uint64)
        self._macs = np.frombuffer(b"".join(neighbours[at] for at in known), np.uint8).reshape(-1, _MAC)
        self._gateway = np.frombuffer(gateway or b"", np.uint8)
        self._no_lengths = np.zeros(0, np.int64)
        self.left_out = 0  #: rows of targets that have no MAC

    def fill(self, first: int, count: int, milliseconds: int = 0, attempt: int = 0, block: int = 0) -> int:
        """As `FrameBuilder.fill`, less the rows without a next hop."""
        rows = self._rows.fill(first, count, milliseconds, attempt, block)
        builder = self._builder
        start = builder.frames.ctypes.data - builder.memory.ctypes.data
        lengths = self._no_lengths if builder.lengths is None else builder.lengths
        kept = int(
            address_rows(
                builder.memory, start, builder.frames.shape[1], builder.offset, rows, lengths,
                self._firsts, self._lasts, self._known, self._macs, self._gateway,
            )
        )  # fmt: skip
        self.left_out += rows - kept
        return kept
