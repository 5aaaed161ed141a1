"""Documents as JSON Lines or CSV, streamed: what is held in memory does not grow with what is stored.

JSON Lines is the whole document, as `longline query --json` shows it. CSV has the columns named here, one line a
document: bytes are base64, lists are joined by spaces, objects are JSON; line ends are CRLF and cells quoted where they
must be (RFC 4180). A cell that begins with `=`, `+`, `-` or `@` is left as it is: what a target said is data, and is
to be opened as such.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Callable, Iterable
from io import StringIO
from typing import Any, Final

import orjson

from stages.sink.documents import Document
from stages.sink.query import documents, shown
from stages.sink.store import Collection, Filter, Store

#: Bytes gathered before they are handed on: few writes, little memory.
CHUNK_BYTES: Final = 64 * 2**10

_TARGET: Final = ("ip", "port", "transport", "name")
_GRAB: Final = ("_id", "scan", "vantage", "ts", *_TARGET, "via", "outcome", "phase", "errno", "icmp", "connect")

#: Collection -> columns of the CSV; `banner.outcome` is the `outcome` inside `banner`.
CSV_COLUMNS: Final[dict[Collection, tuple[str, ...]]] = {
    Collection.SERVICES: (
        "_id", *_TARGET, "first_seen", "last_seen", "last_changed", "down_since",
        "hit.ts", "hit.scan", "hit.probe", "hit.classification", "hit.ttl", "hit.rtt",
        "banner.ts", "banner.scan", "banner.outcome", "banner.phase", "banner.size", "banner.sha256", "banner.data",
        "tls.ts", "tls.scan", "tls.outcome", "tls.phase", "tls.version", "tls.cipher_suite", "tls.alpn", "tls.leaf",
    ),
    Collection.HITS: (
        "_id", "scan", "vantage", "ts", *_TARGET, "probe", "classification", "success", "repeat", "cooldown",
        "attempt", "ttl", "rtt", "source", "tcp", "icmp", "udp",
    ),
    Collection.BANNERS: (
        *_GRAB, "probe", "first_byte", "ended", "sent", "size", "truncated", "sha256", "data", "service",
        "facts",
    ),
    Collection.TLS: (
        *_GRAB, "mode", "first_byte", "ended", "alert", "error", "version", "cipher_suite", "alpn", "sni", "chain",
    ),
    Collection.CERTIFICATES: (
        "_id", "first_seen", "last_seen", "parse_status", "error", "version", "serial", "subject", "issuer",
        "not_before", "not_after", "names", "addresses", "key", "signature_algorithm", "spki_sha256", "ca", "size",
        "raw",
    ),
    Collection.SCANS: (
        "_id", "first_seen", "last_seen", "start.ts", "start.vantage", "start.spec", "progress.ts",
        "progress.position", "end.ts", "end.position", "end.counters", "assessed.ts", "assessed.spec",
        "assessed.counters",
    ),
}  # fmt: skip


def json_line(document: Document) -> bytes:
    """One document as a line."""
    return orjson.dumps(shown(document), option=orjson.OPT_APPEND_NEWLINE)


def _cell(row: Document, column: str) -> str:
    value: Any = row
    for key in column.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return str(value)


def csv_line(cells: Iterable[str]) -> bytes:
    """One line of CSV."""
    text = StringIO()
    csv.writer(text).writerow(list(cells))
    return text.getvalue().encode()


async def export(store: Store, collection: Collection, where: Filter, form: str) -> AsyncIterator[bytes]:
    """The output in chunks of about CHUNK_BYTES. `form` is `jsonl` or `csv`; CSV begins with the names."""
    columns = CSV_COLUMNS[collection]
    line: Callable[[Document], bytes]
    chunk = bytearray()
    if form == "csv":
        chunk += csv_line(columns)

        def line(document: Document) -> bytes:
            row = shown(document)
            return csv_line(_cell(row, column) for column in columns)
    else:
        line = json_line
    async for document in documents(store, collection, where):
        chunk += line(document)
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
