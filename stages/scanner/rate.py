"""The rate of sending: batches on a schedule. Time comes in as an argument.

A batch of n packets moves the schedule on by n / rate. Whoever is late may catch up by one batch at most, so that a
pause or a stalled machine is not followed by a burst; over any longer time the rate is exact.
"""

from __future__ import annotations

import math
from typing import Final

#: A batch spans this many seconds of the schedule, within the bounds below: 20 packets at the default 10,000 a second.
BATCH_S: Final = 0.002
#: A full batch: the system call's fixed cost is spread over so many frames that more no longer helps.
MAX_BATCH: Final = 1024


def batch_size(rate: float) -> int:
    """Packets a batch at `rate` packets a second (0: unlimited)."""
    if rate <= 0:
        return MAX_BATCH
    return min(max(math.floor(rate * BATCH_S), 1), MAX_BATCH)


class Pace:
    """When the next batch may go. Not locked: its owner does that."""

    __slots__ = ("_due", "_span", "rate")

    def __init__(self, rate: float, now: float) -> None:
        """`rate` in packets a second, 0 for no limit."""
        self.rate = rate
        self._span = batch_size(rate) / rate if rate > 0 else 0.0
        self._due = now

    def wait(self, now: float) -> float:
        """Seconds until a batch may be sent; 0 or less: now."""
        return self._due - now if self.rate > 0 else 0.0

    def sent(self, packets: int, now: float) -> None:
        """A batch of `packets` goes out now."""
        if self.rate > 0:
            self._due = max(self._due, now - self._span) + packets / self.rate

    def restart(self, now: float) -> None:
        """After a pause: nothing is owed."""
        self._due = max(self._due, now)
