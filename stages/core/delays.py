"""Things that wait until their time comes: a heap with the clock left outside.

Pure. Two things due at the same time come out in the order they were put in.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class Delays(Generic[T]):
    """Items by their due time, in seconds of the caller's clock."""

    __slots__ = ("_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._order = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, due: float, item: T) -> None:
        self._order += 1
        heappush(self._heap, (due, self._order, item))

    def pop(self, now: float) -> list[T]:
        """Everything due by `now`, earliest first; it is taken out."""
        due: list[T] = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            due.append(heappop(heap)[2])
        return due

    def next_at(self) -> float | None:
        """When the next item is due; None when nothing waits."""
        return self._heap[0][0] if self._heap else None

    def discard(self, condition: Callable[[T], bool]) -> list[T]:
        """Take out what meets the condition."""
        out = [item for _, _, item in self._heap if condition(item)]
        if out:
            self._heap = [each for each in self._heap if not condition(each[2])]
            heapify(self._heap)
        return out
