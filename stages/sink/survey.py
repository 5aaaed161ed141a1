"""What a store is asked about whole scans: one in the order of its addresses, counts over many, and who was where.

The store counts, or it streams: what is held in memory does not grow with what is stored. The same in both stores
(`tests/sink/test_survey.py`); an adapter of each has a file of its own, as the corpus has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from stages.sink.documents import V4_MAPPED, Observation, answered
from stages.sink.store import Store, ranges

#: Microseconds of a day (UTC).
DAY: Final = 86_400_000_000

#: Scans that are counted side by side, at most: each is a row, and a value of the statement.
MAX_SCANS: Final = 10_000

#: The whole space in the order of 16 bytes: what lies before the IPv4-mapped block, in it, behind it.
_LOWEST: Final = V4_MAPPED + bytes(4)
_HIGHEST: Final = V4_MAPPED + b"\xff" * 4


class By(StrEnum):
    """What services are counted by. One counts once for each value that it showed."""

    PORT = "port"
    VERSION = "version"  #: of TLS
    ISSUER = "issuer"  #: of the certificate that it showed as its own
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Tally:
    """So many services with this value, in this scan or on this day."""

    value: Any  #: port, text, or an address as 16 bytes; None: a certificate that could not be read, or is not there
    group: Any  #: name of the scan; or the beginning of the day, microseconds since the epoch
    count: int


@dataclass(frozen=True, slots=True)
class Trace:
    """What is stored of some addresses: of one scan, kind of observation, vantage and source address."""

    scan: str
    kind: str
    vantage: str
    source: str  #: address that the probe came from; "" where it is not known
    count: int
    first: int  #: microseconds since the epoch
    last: int


@dataclass(slots=True)
class Service:
    """A service as one scan saw it."""

    address: bytes  #: 16 bytes
    ip: str
    port: int
    transport: str
    name: str
    facts: dict[tuple[str, ...], str] = field(default_factory=dict)  #: (what, of which conversation) -> what was seen


class Survey(Store, Protocol):
    """A store that can be asked about whole scans. All raise Unavailable, HostError."""

    def in_order(
        self, scan: str, *, network: tuple[bytes, bytes] | None = None, port: int | None = None
    ) -> AsyncIterator[Observation]:
        """Observations of a scan without their `data`, by address (16 bytes) and port."""

    def tallies(
        self, by: By, scans: Sequence[str], *, days: bool = False, since: int | None = None
    ) -> AsyncIterator[Tally]:
        """Services that answered, counted in each of these scans (or, of these scans, on each day). Equal values stand
        together; addresses are in order within their family."""

    async def scans_seen(self) -> list[str]:
        """Names of the scans that have observations."""

    async def count_hits(self, scan: str) -> int:
        """How many hits of a scan are stored."""

    async def traces(self, network: tuple[bytes, bytes]) -> list[Trace]:
        """What is stored of a network."""


def parts(network: tuple[bytes, bytes] | None) -> list[tuple[bytes, bytes]]:
    """The parts of the space, in order, each of one family."""
    if network is not None:
        return ranges(network)
    below, above = ranges((bytes(16), b"\xff" * 16))
    return [below, (_LOWEST, _HIGHEST), above]


async def services(observations: AsyncIterator[Observation]) -> AsyncIterator[Service]:
    """The services of one scan, out of its observations by address and port; by transport and name among these."""
    place: tuple[bytes, int] | None = None
    here: dict[tuple[str, str], Service] = {}
    newest: dict[tuple[Any, ...], tuple[int, str]] = {}
    async for seen in observations:
        if (seen.address, seen.port) != place:
            for key in sorted(here):
                yield here[key]
            place, here, newest = (seen.address, seen.port), {}, {}
        if not answered(seen):
            continue
        key = (seen.transport, seen.name)
        service = here.get(key)
        if service is None:
            service = here[key] = Service(seen.address, seen.ip, seen.port, seen.transport, seen.name)
        for fact, value in facts(seen).items():
            if (seen.ts, seen.id) >= newest.get((key, fact), (seen.ts, seen.id)):
                newest[key, fact], service.facts[fact] = (seen.ts, seen.id), value
    for key in sorted(here):
        yield here[key]


def facts(seen: Observation) -> dict[tuple[str, ...], str]:
    """What two scans are compared by: of a banner its hash and what speaks there, of TLS certificate, version and
    fingerprints. Only what was really heard; and only like is compared with like: the same dialogue, the same mode."""
    body = seen.body
    if seen.kind == "banner":
        found = {"banner": body["sha256"] if body["size"] else None, "service": body.get("service")}
        asked = body["probe"]
    elif seen.kind == "tls":
        chain = body["chain"]
        found = {"certificate": chain[0] if chain else None}
        found |= {what: body.get(what) for what in ("version", "fingerprint", "ja3s", "jarm")}
        asked = body["mode"]
    else:
        return {}
    return {(what, asked): value for what, value in found.items() if isinstance(value, str) and value}
