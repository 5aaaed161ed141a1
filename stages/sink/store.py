"""The contract of a store, the same for SQLite and MongoDB. One suite holds for both (`tests/sink/contract.py`).

A store writes batches and acknowledges them when they are as durable as it can make them. Writing the same batch
again, whole or in part, in any order, changes nothing. What it refuses for good is named, the rest is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_network
from typing import Final, Protocol, runtime_checkable

from stages.core.errors import UsageError
from stages.sink.documents import V4_MAPPED, CertificateSeen, Document, Observation, ScanUpdate, address_of
from stages.sink.erasure import Erasure


class Collection(StrEnum):
    """What can be read. hits, banners and tls are the observations of one kind."""

    SERVICES = "services"
    HITS = "hits"
    BANNERS = "banners"
    TLS = "tls"
    CERTIFICATES = "certificates"
    SCANS = "scans"


#: Collection of observations -> the `kind` in them.
OBSERVED: Final = {Collection.HITS: "hit", Collection.BANNERS: "banner", Collection.TLS: "tls"}


@dataclass(slots=True)
class Batch:
    """What is written together. Ids of `observations` are distinct, so are certificates and scans (the folds)."""

    observations: list[Observation] = field(default_factory=list)
    certificates: list[CertificateSeen] = field(default_factory=list)
    scans: list[ScanUpdate] = field(default_factory=list)


@dataclass(slots=True)
class Written:
    """What came of a batch. Ids are those of observations, SHA-256s, names of scans."""

    stored: int = 0  #: observations that are new
    repeated: int = 0  #: observations whose id was there already
    services: int = 0  #: updates of services
    certificates: int = 0
    scans: int = 0
    rejected: dict[str, str] = field(default_factory=dict)  #: id -> why the store refuses it for good
    missing: list[str] = field(default_factory=list)  #: certificates thought to be stored that are not: write in full

    @property
    def documents(self) -> int:
        """Documents touched: observations inserted, and upserts of the other collections."""
        return self.stored + self.services + self.certificates + self.scans


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; all that are given hold. `networks`: first and last address, 16 bytes each."""

    network: tuple[bytes, bytes] | None = None
    port: int | None = None
    outcome: str | None = None  #: of services: of their latest banner or tls
    scan: str | None = None  #: of services: of their latest hit, banner or tls
    since: int | None = None  #: microseconds; of services, certificates and scans: last seen then or later
    name: str | None = None  #: server name, or a name in a certificate; lower case
    below: tuple[str, str] | None = None  #: certificates: [first, end) of reversed names (`proto.x509.hostnames.below`)
    issuer: str | None = None  #: certificates: part of the issuer's name; ASCII letters in lower case
    expiring: tuple[int, int] | None = None  #: certificates: the end of their validity, from and to
    new_since: int | None = None  #: certificates: first seen then or later
    limit: int | None = None


#: Which fields of a Filter mean something for which collection.
APPLIES: Final[dict[Collection, frozenset[str]]] = {
    Collection.SERVICES: frozenset({"network", "port", "outcome", "scan", "since", "name"}),
    Collection.HITS: frozenset({"network", "port", "scan", "since", "name"}),
    Collection.BANNERS: frozenset({"network", "port", "outcome", "scan", "since", "name"}),
    Collection.TLS: frozenset({"network", "port", "outcome", "scan", "since", "name"}),
    Collection.CERTIFICATES: frozenset({"since", "name", "issuer", "expiring", "new_since"}),
    Collection.SCANS: frozenset({"scan", "since"}),
}


#: The addresses next to the IPv4-mapped block.
_MAPPED_BEFORE: Final = bytes(10) + b"\xff\xfe" + b"\xff" * 4
_MAPPED_AFTER: Final = bytes(9) + b"\x01" + bytes(6)


def network_range(text: str, option: str = "--ip") -> tuple[bytes, bytes]:
    """First and last address of a network or a single address, 16 bytes each. Raises UsageError."""
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise UsageError(option, text, str(error)) from None
    return address_of(str(network[0]))[1], address_of(str(network[-1]))[1]


def ranges(network: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The parts of an address range outside the IPv4-mapped block, or the one inside: `::/0` is IPv6 only."""
    first, last = network
    lowest, highest = V4_MAPPED + bytes(4), V4_MAPPED + b"\xff" * 4
    if first >= lowest and last <= highest:
        return [network]
    parts = [(first, min(last, _MAPPED_BEFORE)), (max(first, _MAPPED_AFTER), last)]
    return [(low, high) for low, high in parts if low <= high]


class Store(Protocol):
    """Where documents are kept."""

    name: str  #: "sqlite" or "mongodb", for logs
    place: str  #: where it is, without passwords

    async def open(self) -> None:
        """Connect. Raises Unavailable (try again), HostError, UsageError."""

    async def init(self, retention: float | None) -> list[str]:
        """Make what the store needs beside its documents (tables, indexes); again does no harm.

        `retention`: seconds that observations are kept; 0: for ever; None: as it is. Returns what there is, in words.
        """

    async def write(self, batch: Batch) -> Written:
        """Write all of it, acknowledged. Raises Unavailable: any part may have been written, write it again."""

    async def count(self, collection: Collection) -> int:
        """How many there are."""

    def find(self, collection: Collection, where: Filter) -> AsyncIterator[Document]:
        """The documents, in the order of their address, time or name; reading holds a bounded number of them."""

    async def purge(self, before: int) -> int:
        """Remove observations (and events) older than `before` (microseconds). Returns how many observations went."""

    async def erase(
        self, erasure: Erasure, network: tuple[bytes, bytes], clock: Callable[[], float], *, dry: bool = False
    ) -> None:
        """Remove what was seen at the addresses of `network` (first and last, 16 bytes each), in steps, and count it in
        `erasure`, whose record is kept. `clock`: seconds since the epoch. `dry`: only count."""

    async def erasures(self) -> list[Erasure]:
        """The records, oldest first."""

    async def close(self) -> None:
        """Close what is open."""


@runtime_checkable
class Preparing(Protocol):
    """A store that wants to see an observation as soon as it is decoded."""

    def prepare(self, observation: Observation) -> None:
        """Set `prepared` to the form in which it will be written, and empty `body` and `data`. Pure; never raises.

        Thousands of observations wait for their batch. In a compact form they are a third as large, and what is made
        while they lie in the processor's cache costs half of what it costs later.
        """


async def count_all(store: Store, collections: Sequence[Collection] = tuple(Collection)) -> dict[str, int]:
    """collection -> number of documents."""
    return {str(collection): await store.count(collection) for collection in collections}
