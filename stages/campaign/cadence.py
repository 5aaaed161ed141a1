"""How often a known service is looked at: twice as seldom after each look that saw nothing new, twice as often after a
change. Pure.

A service that is new begins at the shortest interval, so what is young or changes often is looked at often. To come
and to go are changes. What is gone stays known, and is looked at ever more seldom; when that is as seldom as may be
and a full sweep has not seen it either, it is forgotten (a full sweep finds it again).
"""

from __future__ import annotations

from dataclasses import dataclass

#: State of a service that did not answer.
GONE = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A service as a campaign knows it from one vantage."""

    state: str  #: what was seen of it, in words that are equal while nothing changes; GONE
    interval: float  #: seconds
    looked: float  #: the last look, seconds since the epoch

    @property
    def next(self) -> float:
        return self.looked + self.interval


def look(before: Known | None, state: str, at: float, least: float, most: float) -> Known | None:
    """What is known after a look at the time `at`. None: nothing. The same look again changes nothing."""
    if before is None:
        return None if state == GONE else Known(state, least, at)
    if at <= before.looked:
        return before
    if state == before.state:
        return Known(state, min(most, max(least, before.interval * 2)), at)
    return Known(state, min(most, max(least, before.interval / 2)), at)


def forgotten(known: Known, most: float) -> bool:
    """Whether a service that a full sweep did not see is no longer kept in mind."""
    return known.state == GONE and known.interval >= most
