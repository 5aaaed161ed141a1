"""Whether a thing has moved: it was shown last by a service that is missing now, and turned up at a new address. Pure.

Looked at are all states that show the thing. What somebody else has shown all along is shared, and has not moved; so of
those who show it now the one that began first counts, and it must have begun after the one that left was last seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stages.core.events import Event, EventType
from stages.derive.availability import State, Swept
from stages.derive.sightings import Thing

#: States that show one thing and are looked at. What more services show is shared, and does not move.
MAX_SHARING: Final = 64


def moved(kind: Thing, digest: str, states: Sequence[State]) -> tuple[State, State] | None:
    """(from, to) of what `states` show, all of them."""
    if len(states) > MAX_SHARING:
        return None
    showing = [state for state in states if kind in state.shown and state.shown[kind].hash == digest]
    present = {state.address for state in showing if not state.missing}
    here = [state for state in showing if not state.missing]
    gone = [state for state in showing if state.missing and state.address not in present]
    if not here or not gone:
        return None
    to = min(here, key=lambda state: (state.shown[kind].since, state.id))
    source = max(gone, key=lambda state: (state.last_seen, state.id))
    return (source, to) if to.shown[kind].since > source.last_seen else None


def move(kind: Thing, source: State, to: State, swept: Swept) -> Event:
    """What is told of it: at the new address, with the old one in the details."""
    thing = to.shown[kind]
    place = {"ip": source.ip, "port": source.port, "transport": source.transport}
    if source.name:
        place["name"] = source.name
    return to.event(
        EventType.MOVED, thing.since, swept, (kind, thing.hash, source.id, thing.since),
        thing=str(kind), hash=thing.hash, **{"from": place}, last_seen=source.last_seen,
    )  # fmt: skip
