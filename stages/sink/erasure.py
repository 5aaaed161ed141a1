"""What was erased of a store, and when: the record that is kept in the store itself. Pure.

An erasure takes what was seen at the addresses of a network: observations, services, sightings, states, events (also of
what moved from there). It has no effect on what comes later; who must not be seen again is on the blocklist.
Certificates stay, which hold no address.

The record is written before anything is removed, and its counts at the end: one without an end was interrupted, and is
to be repeated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from stages.core.times import rfc3339

#: The tables that know addresses; states and events behind the services that they are of (`stages.derive.assess`).
TABLES = ("observations", "services", "sightings", "states", "events")


@dataclass(slots=True)
class Erasure:
    """One network's."""

    network: str  #: as it was asked for
    at: int  #: when it began, microseconds since the epoch
    reason: str = ""
    observations: int = 0  #: removed
    services: int = 0
    sightings: int = 0
    states: int = 0
    events: int = 0
    ended: int | None = None  #: microseconds since the epoch; None: it was interrupted

    def shown(self) -> dict[str, Any]:
        """With times as text."""
        ended = None if self.ended is None else rfc3339(self.ended)
        return {**asdict(self), "at": rfc3339(self.at), "ended": ended}
