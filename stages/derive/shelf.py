"""What a job needs of a store. The sink's stores have it (`stages.sink.corpus`, `stages.sink.history`); the command
hands it over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stages.core.events import Event
from stages.derive.sightings import Sighting

Document = dict[str, Any]


@dataclass(slots=True)
class Judged:
    """What a job found out about one stored certificate."""

    sha256: str
    fields: Document | None = None  #: read again; None: as it is
    verdicts: Document | None = None


class Shelf(Protocol):
    """Stored certificates and observations, in an order that a job can go on in. All raise Unavailable, HostError."""

    def observed(self, kind: str, since: int | None) -> AsyncIterator[Mapping[str, Any]]:
        """Observations of a kind (`tls`, `banner`) from a time on, in the order of their time."""

    async def after(self, digest: str, most: int, *, reader: int | None = None) -> list[Document]:
        """Certificates whose SHA-256 is greater, in order, at most so many; `reader`: not those that it has read."""

    async def count_certificates(self) -> int:
        """How many there are."""

    async def keys_of(self, digests: Sequence[str]) -> dict[str, str]:
        """SHA-256 of a certificate -> that of its key, where it could be read."""

    async def authorities(self, subject: str, most: int) -> list[bytes]:
        """DER of certificate authorities by the SHA-256 of their name's DER, at most so many."""

    async def asked_of(self, digests: Sequence[str]) -> dict[str, list[str]]:
        """SHA-256 of a certificate -> names asked for where it was sighted."""

    async def see(self, sightings: Sequence[Sighting]) -> None:
        """Fold them into what is stored: the earliest first_seen, the latest last_seen."""

    async def judge(self, judged: Sequence[Judged]) -> None:
        """Store what was read again and the verdicts."""

    async def state(self, job: str) -> Document | None:
        """Where a job is, as it saved it."""

    async def save(self, job: str, state: Document) -> None:
        """Keep where a job is."""


#: (ip, port, transport, name or "")
Target = tuple[str, int, str, str]


class StateShelf(Protocol):
    """Stored services, their states and what happened to them. All raise Unavailable, HostError."""

    def services(self) -> AsyncIterator[Mapping[str, Any]]:
        """All of them, in one order; reading holds a bounded number of them."""

    async def states_of(self, services: Sequence[Mapping[str, Any]]) -> dict[str, Document]:
        """`_id` -> state (`derive.state_documents`) of those services that have one."""

    async def keys_of(self, digests: Sequence[str]) -> dict[str, str]:
        """SHA-256 of a certificate -> that of its key, where it could be read."""

    async def keep(self, states: Sequence[Document]) -> None:
        """Write states, in the place of what there was; all of them are durable when this returns."""

    async def tell(self, events: Sequence[Event]) -> None:
        """Store events; of two with one id the first stays."""

    async def lost(self, hashes: Sequence[str]) -> set[str]:
        """Those of the hashes that a state shows which is missing."""

    async def showing(self, digest: str, most: int) -> list[Document]:
        """States that show this hash, at most so many."""

    async def forget_gone(self, targets: Sequence[Target]) -> int:
        """Remove states and events of those of them that are no services any more: they were erased meanwhile. Returns
        how many."""
