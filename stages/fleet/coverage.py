"""Whether a scan is complete: the union of what was done is what was wanted, exactly. Pure.

An agent may leave networks out (its own lists say so). What it leaves out of positions [first, last) is wanted from
somebody else: the same positions, of these networks only. So what is wanted grows with what is done, and a scan is
complete when, for every set of networks, the positions done cover the positions wanted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

Interval = tuple[int, int]  #: positions [first, last)
Only = tuple[str, ...] | None  #: these networks of the targets; None: all of them


@dataclass(frozen=True, slots=True)
class Done:
    """Positions [first, last) of `only`, less those of the networks `skipped`."""

    first: int
    last: int
    only: Only = None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    missing: tuple[tuple[int, int, Only], ...]  #: positions that nobody has done
    twice: int  #: positions done more than once, each further time counted

    @property
    def complete(self) -> bool:
        return not self.missing


def coverage(size: int, done: Iterable[Done]) -> Coverage:
    """What of positions [0, size) is missing, and how much was done twice."""
    wanted: dict[Only, list[Interval]] = defaultdict(list)
    had: dict[Only, list[Interval]] = defaultdict(list)
    if size > 0:
        wanted[None].append((0, size))
    for part in done:
        had[part.only].append((part.first, part.last))
        if part.skipped:
            wanted[part.skipped].append((part.first, part.last))
    missing: list[tuple[int, int, Only]] = []
    twice = 0
    for only, intervals in wanted.items():
        missing += [(first, last, only) for first, last in minus(union(intervals), union(had[only]))]
    for intervals in had.values():
        twice += sum(last - first for first, last in intervals) - sum(last - first for first, last in union(intervals))
    return Coverage(tuple(missing), twice)


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted, disjoint, those that touch joined."""
    joined: list[Interval] = []
    for first, last in sorted(intervals):
        if first >= last:
            continue
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def minus(whole: list[Interval], part: list[Interval]) -> list[Interval]:
    """`whole` without `part`; both as `union` returns them."""
    left: list[Interval] = []
    for first, last in whole:
        for begin, end in part:
            if end <= first or begin >= last:
                continue
            if first < begin:
                left.append((first, begin))
            first = end
            if first >= last:
                break
        if first < last:
            left.append((first, last))
    return left
