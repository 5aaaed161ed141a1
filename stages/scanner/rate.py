"""The rate of sending: batches on a schedule. Time comes in as an argument.

A batch of n packets moves the schedule on by n / rate. Who is late (another program had the CPU) catches up, but not at
once: until then batches follow each other in a quarter of their time. So no burst is larger than one batch, and the
rate is exact over any longer time. What is more than DEBT_S behind is given up.
"""

from __future__ import annotations

import math
from typing import Final

#: What SIGUSR1 and SIGUSR2 change the rate by, as in ZMap.
STEP: Final = 0.05
#: Not below: a rate of nothing would be no limit.
MIN_RATE: Final = 0.01

#: A batch spans this many seconds of the schedule, within the bounds below: 20 packets at the default 10,000 a second.
BATCH_S: Final = 0.002
#: A full batch: the system call's fixed cost is spread over so many frames that more no longer helps.
MAX_BATCH: Final = 2048
#: Behind by no more than this: a machine that stood still does not hurry for long afterwards.
DEBT_S: Final = 0.1
#: While catching up a batch takes this share of its time.
CATCH_UP: Final = 0.25


def batch_size(rate: float) -> int:
    """Packets a batch at `rate` packets a second (0: unlimited)."""
    if rate <= 0:
        return MAX_BATCH
    return min(max(math.floor(rate * BATCH_S), 1), MAX_BATCH)


class Pace:
    """When the next batch may go. Not locked: its owner does that."""

    __slots__ = ("_due", "_earliest", "_span", "rate")

    def __init__(self, rate: float, now: float) -> None:
        """`rate` in packets a second, 0 for no limit."""
        self.rate = rate
        self._span = batch_size(rate) / rate if rate > 0 else 0.0
        self._due = self._earliest = now

    def change(self, rate: float, now: float) -> None:
        """Go on at another rate, from the next batch on; what went before is not forgotten."""
        left = max(self._due - now, 0.0) if self.rate > 0 else 0.0
        if rate > 0 and (left or self.rate <= 0):
            self._due = now + left * self.rate / rate
        self._earliest = min(self._earliest, now)
        self.rate = rate
        self._span = batch_size(rate) / rate if rate > 0 else 0.0

    def wait(self, now: float) -> float:
        """Seconds until a batch may be sent; 0 or less: now."""
        return max(self._due, self._earliest) - now if self.rate > 0 else 0.0

    def sent(self, packets: int, now: float) -> None:
        """A batch of `packets` goes out now."""
        if self.rate > 0:
            took = packets / self.rate
            self._due = max(self._due, now - max(self._span, DEBT_S)) + took
            self._earliest = now + CATCH_UP * took

    def restart(self, now: float) -> None:
        """After a pause: nothing is owed."""
        self._due = max(self._due, now)
