"""Sets of integers as sorted, disjoint, inclusive ranges: the algebra under address lists. Pure.

Neighbouring ranges are merged, so that a set has one form only and two sets are equal when their ranges are. Every
operation is one pass over both operands; membership is a binary search.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

#: (first, last), both inside.
Range: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of integers. `starts` and `ends` are parallel: the i-th range is starts[i]..ends[i], both inside."""

    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[Range]) -> Ranges:
        """From ranges in any order, overlapping or not. Raises ValueError for an inverted one."""
        starts: list[int] = []
        ends: list[int] = []
        for first, last in sorted(ranges):
            if last < first:
                raise ValueError(f"inverted range {first}-{last}")
            if ends and first <= ends[-1] + 1:
                if last > ends[-1]:
                    ends[-1] = last
            else:
                starts.append(first)
                ends.append(last)
        return cls(tuple(starts), tuple(ends))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.starts, number)
        return at > 0 and number <= self.ends[at - 1]

    def __iter__(self) -> Iterator[Range]:
        return zip(self.starts, self.ends, strict=True)

    def __len__(self) -> int:
        """How many ranges; `size` is how many integers."""
        return len(self.starts)

    @property
    def size(self) -> int:
        """How many integers are in the set."""
        return sum(self.ends) - sum(self.starts) + len(self.starts)

    def covers(self, first: int, last: int) -> bool:
        """Whether all of first..last is in the set."""
        at = bisect_right(self.starts, first)
        return at > 0 and last <= self.ends[at - 1]

    def union(self, other: Ranges) -> Ranges:
        """What is in one of the two."""
        return Ranges.of((*self, *other))

    def intersect(self, other: Ranges) -> Ranges:
        """What is in both."""
        starts: list[int] = []
        ends: list[int] = []
        i = j = 0
        while i < len(self.starts) and j < len(other.starts):
            first = max(self.starts[i], other.starts[j])
            last = min(self.ends[i], other.ends[j])
            if first <= last:
                starts.append(first)
                ends.append(last)
            if self.ends[i] < other.ends[j]:
                i += 1
            else:
                j += 1
        return Ranges(tuple(starts), tuple(ends))

    def minus(self, other: Ranges) -> Ranges:
        """What is in this set and not in the other."""
        starts: list[int] = []
        ends: list[int] = []
        j = 0
        for first, last in self:
            while j < len(other.starts) and other.ends[j] < first:
                j += 1
            k = j
            while k < len(other.starts) and other.starts[k] <= last:
                if first < other.starts[k]:
                    starts.append(first)
                    ends.append(other.starts[k] - 1)
                first = other.ends[k] + 1
                k += 1
            if first <= last:
                starts.append(first)
                ends.append(last)
        return Ranges(tuple(starts), tuple(ends))
