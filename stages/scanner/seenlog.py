"""Which answers a scan has had so far, in a file beside its checkpoint: what is needed to know repeats after a restart.

The file has eight bytes for each target that answered, in the order in which answers were acknowledged: its key (see
`key_of`) as a little-endian integer. It only grows; the checkpoint says how much of it counts, and what
stands behind that, from a run that was killed, is cut off when the scan goes on.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from stages.core.errors import HostError, UsageError
from stages.scanner.checkpoint import MODE
from stages.scanner.space import U64Array

#: Appended to the checkpoint's name.
SUFFIX: Final = ".seen"

#: In a key: the answer was a success. Positions are below it.
SUCCESS_BIT: Final = 1 << 62

_KEY_BYTES: Final = 8
#: Keys read at once: 8 MiB.
_AT_ONCE: Final = 1 << 20


def key_of(position: int, success: bool) -> int:
    """What dedup remembers of one answer (`stages.scanner.receiver` makes it for many at once)."""
    return position | SUCCESS_BIT if success else position


@dataclass(frozen=True, slots=True)
class Known:
    """What a scan that goes on knows already: the first `size` bytes of a file."""

    path: Path
    size: int

    def check(self, place: str) -> None:
        """Raises UsageError unless the file has what the checkpoint says."""
        if self.size == 0:
            return
        try:
            there = self.path.stat().st_size
        except OSError as error:
            raise UsageError(place, str(self.path), f"belongs to the checkpoint: {error.strerror or error}") from None
        if there < self.size or self.size % _KEY_BYTES:
            raise UsageError(
                place, str(self.path), f"is damaged: {there} bytes, of which the checkpoint counts {self.size}"
            )

    def batches(self) -> Iterator[U64Array]:
        """All keys, in order, some at a time. Raises HostError."""
        left = self.size // _KEY_BYTES
        try:
            if not left:
                return
            with self.path.open("rb") as file:
                while left:
                    keys = np.fromfile(file, "<u8", min(left, _AT_ONCE)).astype(np.uint64)
                    if not keys.size:
                        raise HostError(f"{self.path} has become shorter")
                    left -= keys.size
                    yield keys
        except OSError as error:
            raise HostError(f"{self.path} cannot be read: {error.strerror or error}") from None


class SeenLog:
    """Appends. `add` belongs to the loop's thread, `flush` to one other at a time."""

    def __init__(self, known: Known) -> None:
        """Cuts off what does not count. Raises HostError."""
        self._path = known.path
        self._size = known.size
        self._fresh = array("Q")
        try:
            self._file = os.open(known.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE)
            os.ftruncate(self._file, known.size)
            os.lseek(self._file, known.size, os.SEEK_SET)
        except OSError as error:
            raise HostError(f"{known.path} cannot be written: {error.strerror or error}") from None

    def add(self, keys: Iterable[int]) -> None:
        """These answers are acknowledged, or will be before the next `flush`."""
        self._fresh.extend(keys)

    def flush(self) -> int:
        """Write what was added; durable when this returns. Returns the bytes that count now. Raises HostError."""
        fresh, self._fresh = self._fresh, array("Q")
        data = memoryview(np.array(fresh, "<u8").tobytes())
        try:
            while data:
                written = os.write(self._file, data)
                self._size += written
                data = data[written:]
            os.fdatasync(self._file)
        except OSError as error:
            raise HostError(f"{self._path} cannot be written: {error.strerror or error}") from None
        return self._size

    def close(self) -> None:
        os.close(self._file)

    def remove(self) -> None:
        """The scan is over; `close` all the same."""
        self._path.unlink(missing_ok=True)
