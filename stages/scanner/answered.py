"""Which of the targets that would be probed again have answered: a window of bits over the last positions.

The window is a ring of pages of 2^16 positions. A page carries the number of the 2^16 positions that it stands for
now, so that nobody has to clear what has passed: only the receive thread writes, sender threads read, and there is no
lock. A sender that looks just before an answer is marked sends one probe more, as it would have a moment earlier.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stages.net.jit import kernel

#: Positions of a page, as a power of two: 8 KiB of bits.
_PAGE_BITS: Final = 16
#: Pages at least: the one that is filled, the one that is probed again, and one to come.
_MIN_PAGES: Final = 4
#: Pages at most: 2^28 positions (3 minutes at 1.5 million a second) in 32 MiB. Sending waits where that is too few.
_MAX_PAGES: Final = 1 << 12

_S16, _S6 = np.uint64(_PAGE_BITS), np.uint64(6)
_LOW16, _LOW6, _ONE, _ZERO = np.uint64(0xFFFF), np.uint64(63), np.uint64(1), np.uint64(0)


@kernel
def _mark(bits: Any, tags: Any, positions: Any) -> None:
    for i in range(positions.size):
        number = np.int64(positions[i] >> _S16)
        page = number % tags.size
        if number < tags[page]:
            continue  # an answer to a target that has had its last probe long ago
        if number > tags[page]:
            for j in range(bits.shape[1]):
                bits[page, j] = _ZERO
            tags[page] = number
        low = positions[i] & _LOW16
        bits[page, np.int64(low >> _S6)] |= _ONE << (low & _LOW6)


@kernel
def _read(bits: Any, tags: Any, first: Any, out: Any) -> None:
    for i in range(out.size):
        position = first + np.uint64(i)
        number = np.int64(position >> _S16)
        page = number % tags.size
        low = position & _LOW16
        out[i] = tags[page] == number and bits[page, np.int64(low >> _S6)] >> (low & _LOW6) & _ONE != _ZERO


class Answered:
    """A window that reaches back `size` positions from the newest."""

    def __init__(self, positions: float) -> None:
        """At least about so many, within the bounds of memory; infinity: as many as they allow."""
        pages = _MIN_PAGES
        while pages < _MAX_PAGES and pages - 2 << _PAGE_BITS < positions:
            pages *= 2
        self._bits = np.zeros((pages, 1 << _PAGE_BITS - 6), np.uint64)
        self._tags = np.full(pages, -1, np.int64)
        #: The page of the oldest position and that of the newest are whole in the window.
        self.size = (pages - 2) << _PAGE_BITS

    def mark(self, positions: npt.NDArray[np.uint64]) -> None:
        """These have answered."""
        _mark(self._bits, self._tags, positions)

    def among(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        """Which of the positions first .. first + count - 1 have answered."""
        out = np.zeros(count, np.bool_)
        _read(self._bits, self._tags, np.uint64(first), out)
        return out


class Silent:
    """Rows of targets that have not answered. Stands between a builder of frames and its sender thread."""

    __slots__ = ("_answered", "_close_up", "_rows")

    def __init__(self, rows: Any, builder: Any, answered: Answered) -> None:
        """`rows` fills (`stages.scanner.sender.Rows`), `builder` (`frames.FrameBuilder`) holds what it filled."""
        self._rows = rows
        self._close_up = builder.close_up
        self._answered = answered

    def fill(self, first: int, count: int, milliseconds: int = 0, attempt: int = 0, block: int = 0) -> int:
        """As the builder's; the first attempt is for everybody."""
        rows: int = self._rows.fill(first, count, milliseconds, attempt, block)
        if attempt:
            gone = self._answered.among(first, count)
            if gone.any():
                rows = self._close_up(gone, block)
        return rows
