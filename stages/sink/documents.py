"""From a record to what is stored of it. Pure.

Four collections:

    observations  append-only, `_id` is the record's id. Of two with one id the first stored stays.
    services      one a (address, port, transport, name): first_seen, last_seen, and the latest answer of each kind
                  (`hit`, `banner`, `tls`). It follows the stored observations only.
    certificates  one a SHA-256: the DER itself, first_seen, last_seen, and what was read out of it.
    scans         one a scan: its first start, its latest progress and end.

Why this converges: an update of a service is a minimum, a maximum, or "the greatest (ts, id) wins", and each of these
is associative, commutative and idempotent; so any order and any number of deliveries gives the same document, and
updates of one service can be folded before they are written (`fold_services`).

What moves a service is an answer (`answered`): a refusal, a timeout of connect or an ICMP error proves no service, and
a service that began with one would not converge with the same records in another order. Failures stay in the
observations, from which up and down are derived.

Times are int64 microseconds since the epoch. Bytes stay bytes. What is unknown is absent, never null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address
from typing import Any, Final

from stages.core.errors import RecordError
from stages.core.outcome import DeadReason, Outcome, Phase
from stages.core.record_fields import b64
from stages.core.records import Banner, Hit, Record, Scan, Tls

Document = dict[str, Any]

#: Bytes of a banner that its service shows; the whole banner stands in the observation. One screen line or two.
SUMMARY_BYTES: Final = 256

#: Nesting of what comes as a free object (tcp, spec, server_hello): MongoDB stores 100 levels, we need 5.
MAX_DEPTH: Final = 32

#: One document: MongoDB's 16 MiB (maxBsonObjectSize) less room for the update around it.
MAX_DOCUMENT_BYTES: Final = 16 * 2**20 - 64 * 2**10

_AS_IT_IS: Final = frozenset({str, bool, float})
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
#: Before the four bytes of an IPv4 address (RFC 4291 2.5.5.2).
V4_MAPPED: Final = bytes(10) + b"\xff\xff"

#: Kinds of observation, each with its place in a service.
KINDS: Final = ("hit", "banner", "tls")
#: Events of a scan; of starts the oldest is kept, of the others the newest.
EVENTS: Final = ("start", "progress", "end", "assessed")

#: What a TCP conversation that was established can end with, whatever the phase.
ESTABLISHED: Final = frozenset(
    {Outcome.OK, Outcome.EMPTY, Outcome.SILENT, Outcome.RESET, Outcome.PROTOCOL, Outcome.ALERT}
)
#: Without a connection only an answer is one.
ANSWERED_UDP: Final = frozenset({Outcome.OK, Outcome.PROTOCOL, Outcome.ALERT})
BEFORE: Final = frozenset({Phase.RESOLVE, Phase.CONNECT})

_SUMMARY: Final[dict[str, tuple[str, ...]]] = {
    "hit": ("vantage", "probe", "classification", "ttl", "rtt"),
    "banner": ("vantage", "probe", "via", "outcome", "phase", "size", "sha256", "truncated", "service"),
    "tls": (
        "vantage", "mode", "via", "outcome", "phase", "alert", "version", "cipher_suite", "alpn", "sni", "jarm",
        "rules",
    ),
}  # fmt: skip

_NO_FACTS: Final[Document] = {}

#: Of a handshake, where it has them.
_TLS_FACTS: Final = (
    "alert", "error", "version", "cipher_suite", "alpn", "sni", "hello", "starttls", "ja3s", "fingerprint", "synack",
    "jarm", "answers", "rules",
)  # fmt: skip


@dataclass(slots=True)
class Observation:
    """One observation: what is searched by in fields of its own, the rest in `body`, a banner's bytes in `data`."""

    id: str
    kind: str
    scan: str
    ts: int
    ip: str
    address: bytes  #: 16 bytes, IPv4 as ::ffff:a.b.c.d: sorts and ranges over both families
    port: int
    transport: str
    name: str  #: lower case; "" for none
    body: Document
    data: bytes | None = None
    prepared: Any = None  #: what the store made of it ahead (`store.Preparing`); then `body` and `data` are empty

    def document(self) -> Document:
        """The whole document, as a store gives it back."""
        document: Document = {
            "_id": self.id,
            "kind": self.kind,
            "scan": self.scan,
            "ts": self.ts,
            "ip": self.ip,
            "address": self.address,
            "port": self.port,
            "transport": self.transport,
        }
        if self.name:
            document["name"] = self.name
        document.update(self.body)
        if self.data is not None:
            document["data"] = self.data
        return document

    @classmethod
    def of_document(cls, document: Document) -> Observation:
        """The inverse of `document`."""
        body = dict(document)
        return cls(
            id=body.pop("_id"),
            kind=body.pop("kind"),
            scan=body.pop("scan"),
            ts=body.pop("ts"),
            ip=body.pop("ip"),
            address=body.pop("address"),
            port=body.pop("port"),
            transport=body.pop("transport"),
            name=body.pop("name", ""),
            data=body.pop("data", None),
            body=body,
        )


@dataclass(slots=True)
class ServiceUpdate:
    """All that some observations of one kind say of one service."""

    first_seen: int
    last_seen: int
    newest: Observation  #: the one with the greatest (ts, id): its identity is the service's, its summary is shown


@dataclass(slots=True)
class CertificateSeen:
    """A certificate that was shown. `fields` is what was read out of it; None: it is known to be stored already."""

    sha256: str
    raw: bytes
    first_seen: int
    last_seen: int
    fields: Document | None = None


@dataclass(slots=True)
class ScanUpdate:
    """All that some records say of one scan. `events`: event -> (ts, id, what it says)."""

    scan: str
    first_seen: int
    last_seen: int
    events: dict[str, tuple[int, str, Document]]


@dataclass(slots=True)
class Entry:
    """What one record brings to the store."""

    id: str
    kind: str
    size: int  #: bytes of its line
    observation: Observation | None = None
    scan: ScanUpdate | None = None
    certificates: Sequence[tuple[str, bytes, int]] = ()  #: (SHA-256, DER, ts)


def address_of(ip: str) -> tuple[str, bytes]:
    """(canonical text, 16 bytes) of an address. A zone (RFC 4007) is dropped: it means something on one host only."""
    if ":" not in ip:
        return ip, V4_MAPPED + bytes(map(int, ip.split(".")))
    v6 = IPv6Address(ip.partition("%")[0])
    v4 = v6.ipv4_mapped
    return (str(v4) if v4 is not None else str(v6)), v6.packed


def ip_of(address: bytes) -> str:
    """The canonical text of 16 bytes."""
    if address.startswith(V4_MAPPED):
        return ".".join(map(str, address[12:]))
    return str(IPv6Address(address))


def service_id(ip: str, port: int, transport: str, name: str) -> str:
    """`10.0.0.1:443/tcp`, `[2001:db8::1]:443/tcp/example.com`: the `_id` of a service."""
    host = f"[{ip}]" if ":" in ip else ip
    return f"{host}:{port}/{transport}/{name}" if name else f"{host}:{port}/{transport}"


def storable(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A JSON value as both stores can hold it: integers beyond int64 become decimal strings, nulls are left out.

    Raises RecordError (refused) for keys with a NUL or a leading dollar sign, which MongoDB reserves, for an empty
    key, and for too deep a nesting.
    """
    kind = type(value)
    if kind is dict:
        if depth == 0:
            raise RecordError(DeadReason.REFUSED, f"an object nested deeper than {MAX_DEPTH}")
        result = {}
        for key, item in value.items():
            if not key or key[0] == "$" or "\0" in key:
                raise RecordError(DeadReason.REFUSED, f"the key {key!r} cannot be stored")
            of = type(item)
            if of in _AS_IT_IS or (of is int and _INT64_MIN <= item <= _INT64_MAX):  # most of them: without a call
                result[key] = item
            elif item is not None:
                result[key] = storable(item, depth - 1)
        return result
    if kind is list:
        if depth == 0:
            raise RecordError(DeadReason.REFUSED, f"a list nested deeper than {MAX_DEPTH}")
        return [storable(item, depth - 1) for item in value]
    if kind is int:
        return value if _INT64_MIN <= value <= _INT64_MAX else str(value)
    return value


def _hit(r: Hit) -> Document:
    body: Document = {
        "probe": r.probe,
        "classification": r.classification,
        "success": r.success,
        "repeat": r.repeat,
        "cooldown": r.cooldown,
    }
    if r.attempt is not None:
        body["attempt"] = storable(r.attempt)
    if r.vantage:
        body["vantage"] = r.vantage
    if r.ttl is not None:
        body["ttl"] = storable(r.ttl)
    if r.rtt is not None:
        body["rtt"] = storable(r.rtt)
    if r.source is not None:
        body["source"] = storable(r.source)
    if r.tcp is not None:
        body["tcp"] = storable(r.tcp)
    if r.icmp is not None:
        body["icmp"] = storable(r.icmp)
    if r.udp is not None:
        body["udp"] = storable(r.udp)
    return body


def _ending(body: Document, r: Banner | Tls) -> None:
    if r.vantage:
        body["vantage"] = r.vantage
    if r.hit is not None:
        body["hit"] = r.hit
    if r.errno is not None:
        body["errno"] = r.errno
    if r.icmp is not None:
        body["icmp"] = storable(r.icmp)
    if r.connect is not None:
        body["connect"] = storable(r.connect)
    if r.first_byte is not None:
        body["first_byte"] = storable(r.first_byte)
    if r.ended is not None:
        body["ended"] = storable(r.ended)
    if r.control is not None:
        body["control"] = r.control


def _banner(r: Banner) -> Document:
    body: Document = {
        "probe": r.probe,
        "via": str(r.via),
        "outcome": str(r.outcome),
        "phase": str(r.phase),
        "sent": storable(r.sent),
        "size": len(r.data),
        "truncated": r.truncated,
        "sha256": sha256(r.data).hexdigest(),
    }
    _ending(body, r)
    if r.datagrams is not None:
        body["datagrams"] = storable(r.datagrams)
    if r.service is not None:
        body["service"] = r.service
    if r.facts is not None:
        body["facts"] = storable(r.facts)
    return body


def _tls(r: Tls, chain: list[str]) -> Document:
    body: Document = {
        "mode": r.mode,
        "via": str(r.via),
        "outcome": str(r.outcome),
        "phase": str(r.phase),
        "chain": chain,
    }
    _ending(body, r)
    for key in _TLS_FACTS:
        value = getattr(r, key)
        if value is not None:
            body[key] = value
    for key, data in (("ocsp", r.ocsp), ("scts", r.scts)):
        if data is not None:
            body[key] = b64(data)
    if r.connections != 1:
        body["connections"] = r.connections
    if r.server_hello is not None:
        body["server_hello"] = storable(r.server_hello)
    return body


#: Hashes of certificates behind the leaf; `stages.core.records` gives the same object for the same bytes, and bytes
#: remember their hash value.
_ISSUERS: Final[dict[bytes, str]] = {}
_MAX_ISSUERS: Final = 4_096
_MAX_ISSUER_BYTES: Final = 3_072


def _issuer_hash(der: bytes) -> str:
    if len(der) > _MAX_ISSUER_BYTES:
        return sha256(der).hexdigest()
    digest = _ISSUERS.get(der)
    if digest is None:
        if len(_ISSUERS) >= _MAX_ISSUERS:
            _ISSUERS.clear()
        digest = _ISSUERS[der] = sha256(der).hexdigest()
    return digest


def _chain(record: Tls) -> tuple[list[str], Sequence[tuple[str, bytes, int]]]:
    """(hashes of the chain, certificates). The hashes are computed; a chain that says otherwise is a bad record."""
    if not record.certificates:
        return record.chain, ()
    first, *issuers = record.certificates
    hashes = [sha256(first).hexdigest(), *map(_issuer_hash, issuers)]
    if record.chain and record.chain != hashes:
        raise RecordError(DeadReason.SCHEMA, "chain is not the SHA-256 of the certificates")
    return hashes, [(digest, der, record.ts) for digest, der in zip(hashes, record.certificates, strict=True)]


def entry(record: Record, size: int = 0) -> Entry:
    """What `record`, a line of `size` bytes, brings to the store. Raises RecordError."""
    if isinstance(record, Scan):
        said = storable({key: getattr(record, key) for key in ("spec", "counters", "position")})
        if record.vantage:
            said["vantage"] = record.vantage
        update = ScanUpdate(record.scan, record.ts, record.ts, {record.event: (record.ts, record.id, said)})
        return Entry(record.id, "scan", size, scan=update)
    certificates: Sequence[tuple[str, bytes, int]] = ()
    data = None
    if isinstance(record, Hit):
        kind, body = "hit", _hit(record)
    elif isinstance(record, Banner):
        kind, body, data = "banner", _banner(record), record.data
    else:
        chain, certificates = _chain(record)
        kind, body = "tls", _tls(record, chain)
    ip, address = address_of(record.ip)
    observation = Observation(
        record.id,
        kind,
        record.scan,
        record.ts,
        ip,
        address,
        record.port,
        record.transport,
        record.name.lower() if record.name else "",
        body,
        data,
    )
    return Entry(record.id, kind, size, observation, None, certificates)


def answered(observation: Observation) -> bool:
    """Whether somebody answered there, so that the observation moves its service."""
    body = observation.body
    if observation.kind == "hit":
        return body["success"] is True
    if observation.transport != "tcp":
        return body["outcome"] in ANSWERED_UDP
    return body["outcome"] in ESTABLISHED or (body["outcome"] == Outcome.TIMEOUT and body["phase"] not in BEFORE)


def summary(observation: Observation) -> Document:
    """What the service shows of its latest observation of this kind; `ts` and `id` come first."""
    body = observation.body
    document = {key: body[key] for key in _SUMMARY[observation.kind] if key in body}
    document["scan"] = observation.scan
    if observation.kind == "banner":
        document["data"] = (observation.data or b"")[:SUMMARY_BYTES]
        key = body.get("facts", _NO_FACTS).get("fingerprint")
        if isinstance(key, str) and body.get("service") == "ssh":
            document["host_key"] = key
    elif observation.kind == "tls" and body["chain"]:
        document["leaf"] = body["chain"][0]
    return document


def fold_services(observations: Iterable[Observation]) -> list[ServiceUpdate]:
    """One update a service and kind."""
    updates: dict[tuple[bytes, int, str, str, str], ServiceUpdate] = {}
    for o in observations:
        if not answered(o):
            continue
        key = (o.address, o.port, o.transport, o.name, o.kind)
        ts = o.ts
        update = updates.get(key)
        if update is None:
            updates[key] = ServiceUpdate(ts, ts, o)
            continue
        if ts < update.first_seen:
            update.first_seen = ts
        elif ts > update.last_seen:
            update.last_seen = ts
        newest = update.newest
        if ts > newest.ts or (ts == newest.ts and o.id > newest.id):
            update.newest = o
    return list(updates.values())


def fold_certificates(seen: Iterable[tuple[str, bytes, int]]) -> list[CertificateSeen]:
    """One update a certificate."""
    certificates: dict[str, CertificateSeen] = {}
    for digest, der, ts in seen:
        known = certificates.get(digest)
        if known is None:
            certificates[digest] = CertificateSeen(digest, der, ts, ts)
        else:
            known.first_seen = min(known.first_seen, ts)
            known.last_seen = max(known.last_seen, ts)
    return list(certificates.values())


def fold_scans(updates: Iterable[ScanUpdate]) -> list[ScanUpdate]:
    """One update a scan."""
    scans: dict[str, ScanUpdate] = {}
    for update in updates:
        known = scans.get(update.scan)
        if known is None:
            scans[update.scan] = ScanUpdate(update.scan, update.first_seen, update.last_seen, dict(update.events))
            continue
        known.first_seen = min(known.first_seen, update.first_seen)
        known.last_seen = max(known.last_seen, update.last_seen)
        for event, said in update.events.items():
            other = known.events.get(event)
            if other is None or supersedes(event, said, other):
                known.events[event] = said
    return list(scans.values())


def supersedes(event: str, new: tuple[int, str, Document], old: tuple[int, str, Document]) -> bool:
    """Whether `new` takes the place of `old`: of two starts the older one, of everything else the newer one."""
    return new[:2] < old[:2] if event == "start" else new[:2] > old[:2]
