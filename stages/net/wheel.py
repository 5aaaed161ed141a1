"""A coarse timer wheel: thousands of deadlines, looked at a tick at a time. Pure: time comes in as an argument.

Theory. A connection's deadline moves with every byte, nearly always to later. A heap would pay a push for each move
and keep the stale entries; here an item stands in the set of one tick (`item.tick`), moving a deadline to later costs
one assignment, and only when its tick comes is the item looked at again and put where its deadline has gone. Moving
to earlier changes sets at once. An item that ends is taken out at once, so the wheel holds nothing but what is alive
(Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987, scheme 4, with lazy re-insertion).

A deadline is never early and at most one tick late.
"""

from __future__ import annotations

from math import ceil
from typing import Final, Generic, Protocol, TypeVar

#: `tick` of an item that stands in no set.
NOWHERE: Final = -1


class Timed(Protocol):
    """What can stand in the wheel; both fields belong to the wheel while it does."""

    deadline: float  #: seconds, on the clock of the caller
    tick: int  #: NOWHERE at first


T = TypeVar("T", bound=Timed)


class Wheel(Generic[T]):
    """Items by the tick of their deadline."""

    __slots__ = ("_last", "_per_second", "_slots")

    def __init__(self, tick: float, now: float) -> None:
        """`tick` is the grain in seconds."""
        self._per_second = 1.0 / tick
        self._slots: dict[int, set[T]] = {}
        self._last = int(now * self._per_second)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def schedule(self, item: T, deadline: float) -> None:
        """Put the item in, or move its deadline."""
        item.deadline = deadline
        tick = ceil(deadline * self._per_second)
        if tick <= self._last:
            tick = self._last + 1
        old = item.tick
        if old != NOWHERE:
            if tick >= old:
                return
            self._slots[old].discard(item)
        item.tick = tick
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = {item}
        else:
            slot.add(item)

    def cancel(self, item: T) -> None:
        """Take the item out, if it is in."""
        if item.tick != NOWHERE:
            self._slots[item.tick].discard(item)
            item.tick = NOWHERE

    def expired(self, now: float) -> list[T]:
        """Take out the items whose deadline has passed."""
        current = int(now * self._per_second)
        if current <= self._last:
            return []
        due = sorted(tick for tick in self._slots if tick <= current)
        self._last = current
        out: list[T] = []
        for tick in due:
            for item in self._slots.pop(tick):
                item.tick = NOWHERE
                if item.deadline <= now:
                    out.append(item)
                else:
                    self.schedule(item, item.deadline)
        return out
