"""Reading what is stored: filters as a user gives them, and documents as a user reads them.

    where = filter_of(settings, Collection.SERVICES, now)          # raises UsageError
    async with reading(store) as opened:
        async for document in opened.find(collection, where):
            row = shown(document)          # JSON-ready: times RFC 3339, bytes base64
            cells = cells_of(collection, document)   # strings for a table, under COLUMNS[collection]

What a user reads is a projection of the stored document: nothing in it is guessed, what is not known is empty.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from stages.core.errors import UsageError
from stages.core.outcome import Outcome
from stages.core.records import b64
from stages.core.times import rfc3339
from stages.sink.documents import Document
from stages.sink.retention import since
from stages.sink.settings import QuerySettings
from stages.sink.store import APPLIES, Collection, Filter, Store, network_range

#: Keys whose integer is a time in microseconds.
TIMES: Final = frozenset({"ts", "first_seen", "last_seen", "not_before", "not_after"})

#: Times that rfc3339 can write: years 1 to 9999. A certificate may say anything.
_FIRST_US: Final = -62_135_596_800_000_000
_LAST_US: Final = 253_402_300_799_999_999

#: Characters of a banner in a table cell; and of names.
CELL_CHARS: Final = 60

#: Digits of a hash in a table cell: enough to find it again.
HASH_CHARS: Final = 16


def filter_of(settings: QuerySettings, collection: Collection, now: int) -> Filter:
    """The filter that the options say, at `now` microseconds. Raises UsageError for what means nothing here."""
    given = {
        "network": settings.ip,
        "port": settings.port,
        "outcome": settings.outcome,
        "scan": settings.scan,
        "since": settings.since,
        "name": settings.name,
    }
    for key, value in given.items():
        if value is not None and key not in APPLIES[collection]:
            option = "--ip" if key == "network" else f"--{key}"
            raise UsageError(option, value, f"means nothing for {collection}")
    if settings.outcome is not None and settings.outcome not in set(Outcome):
        raise UsageError("--outcome", settings.outcome, f"not one of {', '.join(Outcome)}")
    return Filter(
        network=None if settings.ip is None else network_range(settings.ip),
        port=settings.port,
        outcome=settings.outcome,
        scan=settings.scan,
        since=None if settings.since is None else since(settings.since, now),
        name=None if settings.name is None else settings.name.lower(),
        limit=settings.limit or None,
    )


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
    """A document ready for JSON: times RFC 3339, bytes base64; `address` is left out, `ip` says it."""
    row: Document = {}
    for key, value in document.items():
        if key in TIMES and isinstance(value, int):  # MongoDB gives a subclass, Int64
            row[key] = time_of(value)
        elif isinstance(value, bytes):
            if key != "address":
                row[key] = b64(value)
        elif isinstance(value, dict):
            row[key] = shown(value) if key in _OURS else value
        else:
            row[key] = value
    return row


#: Objects inside a document whose keys are ours; the others (tcp, spec, counters) are shown as they came.
_OURS: Final = frozenset({"hit", "banner", "tls", "start", "progress", "end"})


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


def _text(document: Document, key: str) -> str:
    value = document.get(key)
    return "" if value is None else str(value)


def _time(document: Document, key: str) -> str:
    value = document.get(key)
    return "" if value is None else time_of(value)


def _state(scan: Document) -> str:
    """How far the records say it came. A scan that was killed and not gone on with says `running` for ever."""
    newest = max(("start", "progress", "end"), key=lambda event: scan.get(event, {}).get("ts", 0))
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
        "parsed": lambda d: _text(d, "parse_status"),
    },
    Collection.SCANS: {
        "scan": lambda d: _text(d, "_id"),
        "state": _state,
        "start": lambda d: "" if "start" not in d else time_of(d["start"]["ts"]),
        "end": lambda d: "" if "end" not in d else time_of(d["end"]["ts"]),
        "last seen": lambda d: _time(d, "last_seen"),
        "position": lambda d: _latest(d, "end", "position") or _latest(d, "progress", "position"),
    },
}


def cells_of(collection: Collection, document: Document) -> list[str]:
    """One table row, in the order of COLUMNS[collection]."""
    return [cell(document) for cell in COLUMNS[collection].values()]


async def rows(store: Store, collection: Collection, where: Filter) -> AsyncIterator[dict[str, Any]]:
    """What `longline query --json` prints, one object a row."""
    async for document in store.find(collection, where):
        yield shown(document)
