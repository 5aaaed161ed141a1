"""Ranges of IPv4 addresses as two arrays: a list of ten million exact addresses is ten million ranges, and what is
asked of it costs a binary search, not a walk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

U32Array: TypeAlias = npt.NDArray[np.uint32]

_HIGHEST: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Ranges firsts[i] .. lasts[i] (u32, inclusive), sorted and disjoint. The arrays are kept, not copied; they may be
    one and the same."""

    firsts: U32Array
    lasts: U32Array

    @classmethod
    def of(cls, ranges: Sequence[tuple[int, int]]) -> Spans:
        """From (first, last), sorted and disjoint."""
        return cls(
            np.array([first for first, _ in ranges], np.uint32), np.array([last for _, last in ranges], np.uint32)
        )

    def __len__(self) -> int:
        """How many ranges."""
        return len(self.firsts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.firsts.tolist(), self.lasts.tolist(), strict=True)

    @property
    def addresses(self) -> int:
        """How many addresses."""
        return int(self.lasts.sum(dtype=np.uint64)) - int(self.firsts.sum(dtype=np.uint64)) + len(self)

    def overlap(self, others: Sequence[tuple[int, int]]) -> Spans:
        """What is in `others` too; these are few, sorted and disjoint."""
        firsts: list[U32Array] = []
        lasts: list[U32Array] = []
        for low, high in others:
            bottom, top = np.uint32(low), np.uint32(high)  # of the arrays' own type: they would be copied otherwise
            start, end = np.searchsorted(self.lasts, bottom), np.searchsorted(self.firsts, top, side="right")
            if start < end:
                firsts.append(np.maximum(self.firsts[start:end], bottom))
                lasts.append(np.minimum(self.lasts[start:end], top))
        return Spans(np.concatenate(firsts), np.concatenate(lasts)) if firsts else Spans.of(())

    def less(self, others: Sequence[tuple[int, int]]) -> Spans:
        """What is not in `others`; these are few, sorted and disjoint."""
        gaps: list[tuple[int, int]] = []
        start = 0
        for low, high in others:
            if start < low:
                gaps.append((start, low - 1))
            start = high + 1
        if start <= _HIGHEST:
            gaps.append((start, _HIGHEST))
        return self.overlap(gaps)
