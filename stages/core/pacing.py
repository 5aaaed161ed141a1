"""Pacing: how many may go now so that a rate is never exceeded, and how long to wait before trying again.

`Pace` is the generic cell rate algorithm (ITU-T I.371, the virtual scheduling form): one number, the theoretical
arrival time (TAT) of the next one if all came exactly at the rate. One may go at `now` if it is not earlier than
TAT - tolerance; then TAT moves on by one interval. In every window of w seconds at most rate * w + burst go: what a
token bucket of `burst` tokens says, but without a token count to keep up to date.

Pure: seconds come in as arguments, from any clock that does not go back.
"""

from __future__ import annotations

import math
from typing import Final

#: Seconds at full rate that may go at once when nothing went before: the clock of an event loop is that coarse.
BURST_SECONDS: Final = 0.05

#: What rounding may take from a time, as a share of an interval and in seconds: floats of a monotonic clock (10^6
#: seconds and more) are 10^-10 apart.
_EPSILON_SHARE: Final = 1e-6
_EPSILON_SECONDS: Final = 1e-9


class Pace:
    """A rate in events per second; 0 means no limit. `burst` is the most that go at once (at least 1)."""

    __slots__ = ("_interval", "_rate", "_tat", "_tolerance", "burst")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._tat = -math.inf
        self.burst = 1.0
        self.set_rate(rate, burst)

    @property
    def rate(self) -> float:
        return self._rate

    def set_rate(self, rate: float, burst: float | None = None) -> None:
        """Go on at another rate; what already went is not forgotten. Raises ValueError for a negative rate."""
        if not rate >= 0 or math.isinf(rate):
            raise ValueError(f"a rate of {rate}")
        self._rate = rate
        self._interval = 1 / rate if rate else 0.0
        self.burst = max(1.0, rate * BURST_SECONDS if burst is None else burst)
        self._tolerance = (self.burst - 1) * self._interval

    def room(self, now: float, wanted: int) -> int:
        """How many of `wanted` may go now."""
        if not self._rate:
            return wanted
        ahead = max(self._tat, now) - now  # scheduled beyond now already
        spare = self._tolerance - ahead + _EPSILON_SHARE * self._interval + _EPSILON_SECONDS
        return min(wanted, math.floor(spare * self._rate) + 1) if spare >= 0 else 0

    def take(self, now: float, n: int = 1) -> None:
        """`n` go now."""
        if self._rate:
            self._tat = max(self._tat, now) + n * self._interval

    def next_at(self, now: float) -> float:
        """When the next one may go: `now` or later."""
        return max(now, self._tat - self._tolerance) if self._rate else now


def backoff(attempt: int, first: float, ceiling: float) -> float:
    """Seconds to wait after failure number `attempt` (0, 1, ...): doubles from `first`, never above `ceiling`."""
    return min(ceiling, first * 2.0 ** min(attempt, 60))
