"""Many lines in one piece, as a kernel writes them (`stages.net.texts`): what it needs for that, and what it made, for
who writes them on as they are and for who needs each. Without the kernel's compiler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, overload

import numpy as np

#: Columns of `marks`: behind the line's end, and where its key begins and ends.
END, KEY, KEY_END = range(3)
COLUMNS: Final = 3

#: (key, line); the line without its end.
Keyed = tuple[bytes, bytes]


class Parts:
    """Constant texts of a line, one behind the other: the n-th is text[places[n] : places[n + 1]]."""

    __slots__ = ("longest", "places", "text")

    def __init__(self, parts: list[bytes]) -> None:
        self.text = np.frombuffer(b"".join(parts) or b"\0", np.uint8)
        self.places = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        self.longest = sum(map(len, parts))


class LineBatch(Sequence[Keyed]):
    """(key, line) of each. `data`: all lines with their ends. The key, a target's prefix, is a part of its line."""

    def __init__(self, data: bytes, marks: Any) -> None:
        """`marks`: an i8 array of COLUMNS for each line."""
        self.data = data
        self._marks = marks

    def __len__(self) -> int:
        return len(self._marks)

    @overload
    def __getitem__(self, at: int) -> Keyed: ...
    @overload
    def __getitem__(self, at: slice) -> list[Keyed]: ...
    def __getitem__(self, at: int | slice) -> Keyed | list[Keyed]:
        return self._pairs[at]

    def __iter__(self) -> Iterator[Keyed]:
        return iter(self._pairs)

    @property
    def lines(self) -> list[bytes]:
        """Without their ends."""
        data = self.data
        return [data[first : end - 1] for first, end in pairwise([0, *self._marks[:, END].tolist()])]

    @cached_property
    def _pairs(self) -> list[Keyed]:
        data = self.data
        keys = zip(self._marks[:, KEY].tolist(), self._marks[:, KEY_END].tolist(), strict=True)
        return [(data[at:end], line) for (at, end), line in zip(keys, self.lines, strict=True)]
