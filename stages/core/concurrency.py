"""How much may be in flight at once: the user's wish, lowered when this host is at its limit, raised again slowly.

Additive increase, multiplicative decrease, as TCP's congestion avoidance (RFC 5681 3.1): a failure of our own (no
descriptor, no port) halves the limit, and every `limit` records that end well raise it by one. Failures come in
bursts, since everything begun at one moment meets the same wall; a burst halves once.

Pure: time comes in as an argument.
"""

from __future__ import annotations

import math
from typing import Final

#: Seconds within which failures belong to one burst: they were begun before the last halving could help.
BURST_SECONDS: Final = 0.05


class Concurrency:
    """`limit` is between 1 and `ceiling`."""

    __slots__ = ("_credit", "_halved_at", "ceiling", "limit")

    def __init__(self, ceiling: int) -> None:
        if ceiling < 1:
            raise ValueError(f"a concurrency of {ceiling}")
        self.ceiling = ceiling
        self.limit = ceiling
        self._credit = 0
        self._halved_at = -math.inf

    def failed(self, now: float) -> bool:
        """This host was at its limit at `now` (seconds). Returns whether the concurrency was lowered by this call."""
        if now - self._halved_at < BURST_SECONDS:
            return False
        self._halved_at = now
        self._credit = 0
        lowered = self.limit > 1
        self.limit = max(1, self.limit // 2)
        return lowered

    def ended(self, n: int) -> None:
        """`n` records ended, not by a limit of ours."""
        if self.limit >= self.ceiling:
            return
        self._credit += n
        while self._credit >= self.limit and self.limit < self.ceiling:
            self._credit -= self.limit
            self.limit += 1
