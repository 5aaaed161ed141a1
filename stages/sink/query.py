"""Reading what is stored: filters as a user gives them, and documents as a user reads them.

    where = filter_of(settings, Collection.SERVICES, now)          # raises UsageError
    async with reading(store) as opened:
        async for document in opened.find(collection, where):    # or certificates(corpus, where)
            row = shown(document)          # JSON-ready: times RFC 3339, bytes base64
            cells = cells_of(collection, document)   # strings for a table, under COLUMNS[collection]

What a user reads is a projection of the stored document: nothing in it is guessed, what is not known is empty.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from stages.core.errors import UsageError
from stages.core.outcome import Outcome
from stages.core.record_fields import b64
from stages.core.times import rfc3339
from stages.proto.x509.hostnames import below
from stages.sink.corpus import Corpus
from stages.sink.documents import Document
from stages.sink.history import History
from stages.sink.retention import since
from stages.sink.settings import QuerySettings
from stages.sink.store import APPLIES, Collection, Filter, Store, network_range

#: Keys whose integer is a time in microseconds.
TIMES: Final = frozenset(
    {
        "ts", "first_seen", "last_seen", "not_before", "not_after", "at", "from_seen", "to_seen", "last_changed",
        "down_since", "decided", "until", "up_at",
    }
)  # fmt: skip

#: Times that rfc3339 can write: years 1 to 9999. A certificate may say anything.
_FIRST_US: Final = -62_135_596_800_000_000
_LAST_US: Final = 253_402_300_799_999_999

#: Characters of a banner in a table cell; and of names.
CELL_CHARS: Final = 60

#: Digits of a hash in a table cell: enough to find it again.
HASH_CHARS: Final = 16


def filter_of(settings: QuerySettings, collection: Collection, now: int) -> Filter:
    """The filter that the options say, at `now` microseconds. Raises UsageError for what means nothing here."""
    refuse(settings, str(collection), APPLIES[collection])
    if settings.outcome is not None and settings.outcome not in set(Outcome):
        raise UsageError("--outcome", settings.outcome, f"not one of {', '.join(Outcome)}")
    named, under = _name_of(settings.name, collection)
    return Filter(
        network=None if settings.ip is None else network_range(settings.ip),
        port=settings.port,
        outcome=settings.outcome,
        scan=settings.scan,
        since=None if settings.since is None else since(settings.since, now),
        name=named,
        below=under,
        issuer=None if settings.issuer is None else _ascii_lower(settings.issuer),
        expiring=None if settings.expiring is None else (now, now + round(settings.expiring * 1e6)),
        new_since=None if settings.new_since is None else since(settings.new_since, now, "--new-since"),
        limit=settings.limit or None,
    )


def filter_of_history(settings: QuerySettings, what: str, applies: frozenset[str], now: int) -> Filter:
    """The same for what happened to services (`stages.sink.history`)."""
    refuse(settings, what, applies)
    return Filter(
        network=None if settings.ip is None else network_range(settings.ip),
        port=settings.port,
        scan=settings.scan,
        since=None if settings.since is None else since(settings.since, now),
        name=None if settings.name is None else settings.name.lower(),
        limit=settings.limit or None,
    )


def refuse(settings: QuerySettings, what: str, applies: frozenset[str]) -> None:
    """Raise UsageError for a filter that is given and means nothing for `what`."""
    given = {
        "network": settings.ip,
        "port": settings.port,
        "outcome": settings.outcome,
        "scan": settings.scan,
        "since": settings.since,
        "name": settings.name,
        "issuer": settings.issuer,
        "expiring": settings.expiring,
        "new_since": settings.new_since,
    }
    for key, value in given.items():
        if value is not None and key not in applies:
            option = "--ip" if key == "network" else f"--{key.replace('_', '-')}"
            raise UsageError(option, value, f"means nothing for {what}")


def _name_of(name: str | None, collection: Collection) -> tuple[str | None, tuple[str, str] | None]:
    """(exact name, range of reversed names), of which one at most is there. Raises UsageError."""
    if name is None:
        return None, None
    name = name.lower()
    if collection is not Collection.CERTIFICATES:
        return name, None
    try:
        under = below(name)
    except ValueError as error:
        raise UsageError("--name", name, str(error)) from None
    return (name, None) if under is None else (None, under)


def _ascii_lower(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


@asynccontextmanager
async def reading(store: Store) -> AsyncIterator[Store]:
    """The store, opened and closed again."""
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def time_of(us: int) -> str:
    """RFC 3339; a time beyond its years as the integer itself."""
    return rfc3339(us) if _FIRST_US <= us <= _LAST_US else str(us)


def shown(document: Document) -> Document:
    """A document ready for JSON: times RFC 3339, bytes base64; an address in bytes is left out, it stands there as text
    too."""
    row: Document = {}
    for key, value in document.items():
        if key in TIMES and isinstance(value, int):  # MongoDB gives a subclass, Int64
            row[key] = time_of(value)
        elif isinstance(value, bytes):
            if key not in _ADDRESSES:
                row[key] = b64(value)
        elif isinstance(value, dict):
            row[key] = shown(value) if key in _OURS else value
        else:
            row[key] = value
    return row


#: Addresses as bytes: that of `ip`, and that of an event's `details.from`.
_ADDRESSES: Final = frozenset({"address", "origin"})

#: Objects inside a document whose keys are ours; the others (tcp, spec, counters) are shown as they came.
_OURS: Final = frozenset({"hit", "banner", "tls", "start", "progress", "end", "assessed", "verdicts", "details"})


def printable(data: bytes, most: int = CELL_CHARS) -> str:
    """Bytes on one line: what is not printable ASCII is escaped; cut with an ellipsis."""
    text = "".join(_ESCAPES[byte] for byte in data[: most + 1])
    return text if len(data) <= most and len(text) <= most else text[: most - 1] + "…"


_ESCAPES: Final = tuple(
    {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\"}.get(byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
    for byte in range(256)
)


def _cut(text: str) -> str:
    return text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"


def _latest(document: Document, key: str, item: str) -> str:
    value = document.get(key, {}).get(item)
    return "" if value is None else str(value)


def loss_of(counters: Mapping[str, Any] | None) -> str:
    """The estimate of what a sweep has missed, with its interval, in per cent; empty: it is not known."""
    numbers = [(counters or {}).get(key) for key in ("loss", "loss_low", "loss_high")]
    known = [100 * number for number in numbers if isinstance(number, int | float)]
    return f"{known[0]:.1f} % ({known[1]:.1f}-{known[2]:.1f})" if len(known) == len(numbers) else ""


def _text(document: Document, key: str) -> str:
    value = document.get(key)
    return "" if value is None else str(value)


def _time(document: Document, key: str) -> str:
    value = document.get(key)
    return "" if value is None else time_of(value)


def held(certificate: Document) -> list[str]:
    """The verdicts that hold of a certificate, by name; `untrusted` where a root store says so."""
    names = []
    for name, said in certificate.get("verdicts", {}).items():
        if name == "untrusted":
            names += [f"untrusted({store})" for store, one in said.items() if one["is"] == "yes"]
        elif name == "mismatch":
            names += [name] if any(one["is"] == "yes" for one in said) else []
        elif isinstance(said, dict) and said["is"] == "yes":
            names.append(name)
    return names


def _state(scan: Document) -> str:
    """How far the records say it came. A scan that was killed and not gone on with says `running` for ever. Of a sweep
    that is several scans there is only what was made of it when it had ended (`assessed`)."""
    events = [event for event in ("start", "progress", "end") if event in scan]
    newest = max(events, key=lambda event: scan[event]["ts"], default="end")
    return "ended" if newest == "end" else "running"


def _service_banner(d: Document) -> str:
    banner = d.get("banner")
    return "" if banner is None else printable(banner["data"])


Cell = Callable[[Document], str]

_TARGET: Final[dict[str, Cell]] = {
    "ip": lambda d: _text(d, "ip"),
    "port": lambda d: _text(d, "port"),
    "transport": lambda d: _text(d, "transport"),
    "name": lambda d: _text(d, "name"),
}
_GRAB: Final[dict[str, Cell]] = {
    "ts": lambda d: _time(d, "ts"),
    **_TARGET,
    "outcome": lambda d: _text(d, "outcome"),
    "phase": lambda d: _text(d, "phase"),
}

#: Collection -> title of a column -> what stands in it.
COLUMNS: Final[dict[Collection, dict[str, Cell]]] = {
    Collection.SERVICES: {
        **_TARGET,
        "first seen": lambda d: _time(d, "first_seen"),
        "last seen": lambda d: _time(d, "last_seen"),
        "last changed": lambda d: _time(d, "last_changed"),
        "down since": lambda d: _time(d, "down_since"),
        "banner": lambda d: _latest(d, "banner", "outcome"),
        "data": _service_banner,
        "tls": lambda d: _latest(d, "tls", "outcome"),
        "version": lambda d: _latest(d, "tls", "version"),
        "certificate": lambda d: _latest(d, "tls", "leaf")[:HASH_CHARS],
    },
    Collection.HITS: {
        "ts": lambda d: _time(d, "ts"),
        **_TARGET,
        "probe": lambda d: _text(d, "probe"),
        "classification": lambda d: _text(d, "classification"),
        "ttl": lambda d: _text(d, "ttl"),
        "rtt": lambda d: _text(d, "rtt"),
        "scan": lambda d: _text(d, "scan"),
    },
    Collection.BANNERS: {
        **_GRAB,
        "service": lambda d: _text(d, "service"),
        "size": lambda d: _text(d, "size"),
        "data": lambda d: printable(d.get("data", b"")),
        "scan": lambda d: _text(d, "scan"),
    },
    Collection.TLS: {
        **_GRAB,
        "version": lambda d: _text(d, "version"),
        "cipher suite": lambda d: _text(d, "cipher_suite"),
        "alert": lambda d: _text(d, "alert"),
        "certificate": lambda d: (d.get("chain") or [""])[0][:HASH_CHARS],
        "scan": lambda d: _text(d, "scan"),
    },
    Collection.CERTIFICATES: {
        "sha256": lambda d: _text(d, "_id")[:HASH_CHARS],
        "names": lambda d: _cut(" ".join(d.get("names", ()))),
        "issuer": lambda d: _cut(_text(d, "issuer")),
        "not before": lambda d: _time(d, "not_before"),
        "not after": lambda d: _time(d, "not_after"),
        "first seen": lambda d: _time(d, "first_seen"),
        "last seen": lambda d: _time(d, "last_seen"),
        "services": lambda d: _text(d, "services"),
        "parsed": lambda d: _text(d, "parse_status"),
        "verdicts": lambda d: " ".join(held(d)),
    },
    Collection.SCANS: {
        "scan": lambda d: _text(d, "_id"),
        "state": _state,
        "start": lambda d: "" if "start" not in d else time_of(d["start"]["ts"]),
        "end": lambda d: "" if "end" not in d else time_of(d["end"]["ts"]),
        "last seen": lambda d: _time(d, "last_seen"),
        "position": lambda d: _latest(d, "end", "position") or _latest(d, "progress", "position"),
        "missed": lambda d: loss_of(d.get("assessed", {}).get("counters")),
    },
}


def cells_of(collection: Collection, document: Document) -> list[str]:
    """One table row, in the order of COLUMNS[collection]."""
    return [cell(document) for cell in COLUMNS[collection].values()]


#: Certificates whose services are counted at once.
_COUNTED: Final = 100


async def certificates(corpus: Corpus, where: Filter) -> AsyncIterator[Document]:
    """Certificates with `services`, how many show each as their own: counted now, from what `longline certs reprocess`
    sighted; before it ever ran there is no such field."""
    sighted = await corpus.state("sightings.tls") is not None
    part: list[Document] = []

    async def counted() -> list[Document]:
        counts = await corpus.services_of([d["_id"] for d in part]) if sighted else {}
        return [{**d, "services": counts[d["_id"]]} if sighted else d for d in part]

    async for document in corpus.find(Collection.CERTIFICATES, where):
        part.append(document)
        if len(part) == _COUNTED:
            for one in await counted():
                yield one
            part.clear()
    for one in await counted():
        yield one


#: Services whose states are looked up at once.
_STATES: Final = 100


def documents(store: Store, collection: Collection, where: Filter) -> AsyncIterator[Document]:
    """What is looked for, as users see it: services with their states, if the store keeps some."""
    if collection is Collection.SERVICES and isinstance(store, History):
        return with_states(store, where)
    return store.find(collection, where)


async def with_states(history: History, where: Filter) -> AsyncIterator[Document]:
    """Services with `last_changed`, and `down_since` of those that are down, where a sweep was ever assessed."""
    part: list[Document] = []

    async def joined() -> list[Document]:
        states = await history.states_of(part)
        keys = ("last_changed", "down_since")
        return [{**d, **{k: v for k, v in states.get(d["_id"], {}).items() if k in keys}} for d in part]

    async for document in history.find(Collection.SERVICES, where):
        part.append(document)
        if len(part) == _STATES:
            for one in await joined():
                yield one
            part.clear()
    for one in await joined():
        yield one


async def rows(store: Store, collection: Collection, where: Filter) -> AsyncIterator[dict[str, Any]]:
    """What `longline query --json` prints, one object a row."""
    async for document in documents(store, collection, where):
        yield shown(document)
