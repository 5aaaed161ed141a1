"""From the engine's threads to those who take the hits: a bounded queue with back-pressure and marks.

The engine puts batches from its receive thread and never waits; one task in the loop takes them. Above `HIGH_WATER`
answers the engine is told to stop sending, below `LOW_WATER` to go on: receiving never stops, so that what is on its
way when the log is full is still taken in. That bounds the queue by HIGH_WATER plus what one round trip brings.

A mark says: when everything put before it is acknowledged, the scan has come to this position. The loop puts one in
before each checkpoint, and the task that takes the queue finds it when all that came before is written.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from stages.scanner.rows import Answer, joined
from stages.scanner.said import Said

if TYPE_CHECKING:
    from stages.scanner.answers import AnswerArray

#: Answers that wait, at most, before sending pauses; and where it goes on. 50,000 rows are some 30 MB.
HIGH_WATER: Final = 50_000
LOW_WATER: Final = 10_000


@dataclass(frozen=True, slots=True)
class Mark:
    """`position` is settled once all that was put before is acknowledged."""

    position: int
    ripe: bool = True  #: what was said with the targets before it is in, too
    met: asyncio.Event | None = None  #: set by the writer; then nothing is settled


class Taken(NamedTuple):
    """What `Delivery.take` gives."""

    answers: Sequence[Answer]
    mark: Mark | None  #: that comes next
    said: list[Said]


class Delivery:
    """Many threads put, one task takes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        high_water: int = HIGH_WATER,
        low_water: int = LOW_WATER,
    ) -> None:
        self._loop = loop
        self._on_full: Callable[[], None] = _nothing
        self._on_room: Callable[[], None] = _nothing
        self._high = high_water
        self._low = low_water
        self._items: deque[AnswerArray | list[Answer] | Said | Mark] = deque()
        self._wake = asyncio.Event()
        self._lock = threading.Lock()
        self._put = 0  # answers and conversations put so far
        self._taken = 0
        self._closed = False
        self.full = False

    @property
    def waiting(self) -> int:
        """Answers and conversations put and not yet taken."""
        return self._put - self._taken

    def steer(self, on_full: Callable[[], None], on_room: Callable[[], None]) -> None:
        """From now on `on_full` and `on_room` are called, in the loop's thread; `on_full` at once if it is full."""
        self._on_full = on_full
        self._on_room = on_room
        if self.full:
            on_full()

    def put(self, answers: AnswerArray | list[Answer] | Said) -> None:
        """From any thread. The array becomes ours."""
        self._items.append(answers)
        with self._lock:
            self._put += len(answers)
        try:
            self._loop.call_soon_threadsafe(self._look)
        except RuntimeError:
            if not self._closed:
                raise
            # The loop is gone, and with it everybody who could take this.

    def say(self, said: Said) -> None:
        """Conversations that have ended. From any thread."""
        self.put(said)

    def mark(self, position: int, *, ripe: bool = True) -> None:
        """From the loop's thread."""
        self._items.append(Mark(position, ripe))
        self._wake.set()

    def meet(self) -> asyncio.Event:
        """Set when the writer has done with all that was put until now. From the loop's thread."""
        met = asyncio.Event()
        self._items.append(Mark(0, met=met))
        self._wake.set()
        return met

    def close(self) -> None:
        """Nothing more will be put: `take` says so once it has given everything."""
        self._closed = True
        self._wake.set()

    async def take(self, at_most: int) -> Taken | None:
        """About `at_most` answers and conversations in order, and the mark behind them if one comes next; None at the
        end."""
        while not self._items:
            if self._closed:
                return None
            self._wake.clear()
            await self._wake.wait()
        batches: list[AnswerArray | list[Answer]] = []
        said: list[Said] = []
        mark: Mark | None = None
        count = 0
        while self._items and count < at_most:
            item = self._items.popleft()
            if isinstance(item, Mark):
                mark = item
                break
            count += len(item)
            if isinstance(item, Said):
                said.append(item)
            else:
                batches.append(item)
        self._taken += count
        if self.full and self.waiting <= self._low:
            self.full = False
            self._on_room()
        return Taken(joined(batches), mark, said)

    def _look(self) -> None:
        self._wake.set()
        if not self.full and self.waiting >= self._high:
            self.full = True
            self._on_full()


def _nothing() -> None:
    """Nobody steers yet."""
