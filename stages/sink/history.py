"""The states of services and what happened to them: what a job after a sweep writes, and `longline query` reads.

Two collections beside those of the sink (`stages.sink.documents`):

    states  one a service, under its `_id`: what the job after a sweep keeps of it (`stages.derive.state_documents`).
            Looked for are `hashes` (what it shows), `missing` and `down_since`; the rest is the job's.
    events  one a record of the topic `events`, under its id; of two with one id the first stays.

`ip`, `address`, `port`, `transport`, `name` are as in a service. An event of something that moved has the old place in
`details`, and that one's address as `origin`: what is erased of a network goes there too. Events are forgotten with the
observations of their time; states stay, as services do. One suite holds for both stores
(`tests/sink/test_history.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, runtime_checkable

from stages.core.events import Event, EventType
from stages.sink.corpus import Corpus
from stages.sink.documents import Document, address_of
from stages.sink.store import Filter

#: Fields of a Filter that mean something for events and outages.
APPLIES: Final = frozenset({"network", "port", "scan", "since", "name"})

#: Filters of an outage: its probing has many scans.
APPLIES_TO_OUTAGES: Final = APPLIES - {"scan"}


#: (ip, port, transport, name or "")
Target = tuple[str, int, str, str]


@runtime_checkable
class History(Corpus, Protocol):
    """A corpus whose services have states. All raise Unavailable, HostError."""

    def services(self) -> AsyncIterator[Document]:
        """All of them, in one order; reading holds a bounded number of them."""

    async def states_of(self, services: Sequence[Mapping[str, Any]]) -> dict[str, Document]:
        """`_id` -> state of those services that have one."""

    async def keep(self, states: Sequence[Document]) -> None:
        """Write states, in the place of what there was; acknowledged."""

    async def tell(self, events: Sequence[Event]) -> None:
        """Store events; of two with one id the first stays; acknowledged."""

    async def lost(self, hashes: Sequence[str]) -> set[str]:
        """Those of the hashes that a state shows which is `missing`."""

    async def showing(self, digest: str, most: int) -> list[Document]:
        """States that show this hash, at most so many."""

    async def forget_gone(self, targets: Sequence[Target]) -> int:
        """Remove states and events of those of them that are no services any more: they were erased meanwhile. Returns
        how many."""

    def down(self, where: Filter) -> AsyncIterator[Document]:
        """States with `down_since`, the longest down first. `scan` and `since` mean nothing here."""

    def events(self, where: Filter, kind: EventType | None = None, *, ended: bool = False) -> AsyncIterator[Document]:
        """Events by their time; of one type; `ended`: only those which end an outage."""


def event_document(event: Event) -> Document:
    """As a store gives it back."""
    ip, address = address_of(event.ip)
    document: Document = {
        "_id": event.id,
        "type": str(event.type),
        "ts": event.ts,
        "scan": event.scan,
        "vantage": event.vantage,
        "ip": ip,
        "address": address,
        "port": event.port,
        "transport": event.transport,
        "details": event.details,
    }
    if event.name:
        document["name"] = event.name
    place = event.details.get("from")
    if place is not None:
        document["origin"] = address_of(place["ip"])[1]
    return document


def without_time(where: Filter) -> Filter:
    """The same filter at any time, of any scan."""
    return replace(where, since=None, scan=None)
