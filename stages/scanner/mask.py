"""Leaving out of a running scan what has been blocked since it began.

The order of a scan is laid over its targets once; a network that asks to be left alone while the scan runs cannot be
taken out of it. So it is taken out of each batch after it was filled: the rows of blocked targets are closed up and
not sent, their positions count as done. Until a list changes, that costs one comparison a batch.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from stages.core.ranges import Ranges


class Frames(Protocol):
    """What is masked: `stages.scanner.frames.FrameBuilder`."""

    frames: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64] | None
    address: npt.NDArray[np.uint64]

    def fill(self, first: int, count: int, milliseconds: int = 0, block: int = 0) -> int: ...


class Lists(Protocol):
    """Whom to leave alone: `stages.core.policy.Policy`, whose `generation` counts its changes."""

    generation: int

    @property
    def forbidden_v4(self) -> Ranges: ...


class Mask:
    """Fills rows as its builder does, less what the lists forbid now. One for each sender thread."""

    __slots__ = ("_applied", "_builder", "_ends", "_lists", "_seen", "_starts")

    def __init__(self, builder: Frames, lists: Lists, generation: int) -> None:
        """`generation`: of the lists when the targets were laid out."""
        self._builder = builder
        self._lists = lists
        self._seen = self._applied = generation
        self._starts = np.zeros(0, np.uint64)
        self._ends = np.zeros(0, np.uint64)

    def fill(self, first: int, count: int, milliseconds: int = 0, block: int = 0) -> int:
        """Rows for positions first .. first + count - 1, without those of blocked targets. Returns their number."""
        rows = self._builder.fill(first, count, milliseconds, block=block)
        generation = self._lists.generation
        if generation == self._seen:
            return rows
        if generation != self._applied:
            forbidden = self._lists.forbidden_v4
            self._starts = np.array(forbidden.starts, np.uint64)
            self._ends = np.array(forbidden.ends, np.uint64)
            self._applied = generation
        return self._close_up(count, rows)

    def _close_up(self, count: int, rows: int) -> int:
        if not self._starts.size:
            return rows
        addresses = self._builder.address[:count]
        at = np.searchsorted(self._starts, addresses, side="right")
        blocked = (at > 0) & (addresses <= self._ends[at - 1])
        if not blocked.any():
            return rows
        keep = np.repeat(~blocked, rows // count)
        kept = int(keep.sum())
        self._builder.frames[:kept] = self._builder.frames[:rows][keep]
        if self._builder.lengths is not None:
            self._builder.lengths[:kept] = self._builder.lengths[:rows][keep]
        return kept
