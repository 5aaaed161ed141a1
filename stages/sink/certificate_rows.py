"""Certificates in SQLite: which rows a filter means, a row back into a document, and what moves in it.

Every condition but `issuer` is a range of an index. The order of `sha256` is asked for as `+sha256` then: SQLite, which
knows nothing of how many rows a range has, would rather read all of them in that order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

import orjson

from stages.proto.x509.hostnames import reverse
from stages.sink.documents import CertificateSeen, Document
from stages.sink.store import Filter

CERTIFICATE_COLUMNS: Final = "sha256, first_seen, last_seen, fields, raw, verdicts"


#: Nearly always only last_seen moves, which no index holds. Rows of (SHA-256, first, last), many in one statement.
_SEEN_AGAIN: Final = (
    "UPDATE certificates SET last_seen = max(last_seen, seen.column3) FROM (VALUES {}) AS seen"
    " WHERE sha256 = seen.column1 AND first_seen <= seen.column2"
)
_SEEN_BEFORE: Final = (
    "UPDATE certificates SET first_seen = min(first_seen, ?2), last_seen = max(last_seen, ?3) WHERE sha256 = ?1"
)


def certify_again(connection: sqlite3.Connection, known: Sequence[CertificateSeen], sizes: Sequence[int]) -> list[str]:
    """Move the times of certificates that are thought to be stored; returns those that are not. `sizes`: rows of one
    statement, the first that fits."""
    missing: list[str] = []
    start = 0
    for size in sizes:
        while len(known) - start >= size:
            part = known[start : start + size]
            start += size
            rows = [(bytes.fromhex(c.sha256), c.first_seen, c.last_seen) for c in part]
            sql = _SEEN_AGAIN.format(", ".join(["(?, ?, ?)"] * size))
            if connection.execute(sql, list(chain.from_iterable(rows))).rowcount < size:
                done = (connection.execute(_SEEN_BEFORE, row).rowcount for row in rows)
                missing += [c.sha256 for c, count in zip(part, done, strict=True) if count == 0]
    return missing


def read_certificate(row: Sequence[Any]) -> Document:
    """A row of CERTIFICATE_COLUMNS."""
    digest, first_seen, last_seen, fields, raw, verdicts = row
    document: Document = {"_id": digest.hex(), "first_seen": first_seen, "last_seen": last_seen}
    document |= orjson.loads(fields)
    document["raw"] = raw
    if verdicts is not None:
        document["verdicts"] = orjson.loads(verdicts)
    return document


def certificate_conditions(where: Filter) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(SQL, values) of what a filter says of certificates only; all hold together."""
    if where.name is not None:
        yield "sha256 IN (SELECT sha256 FROM names WHERE reversed = ?)", (reverse(where.name),)
    if where.below is not None:
        yield "sha256 IN (SELECT sha256 FROM names WHERE reversed >= ? AND reversed < ?)", where.below
    if where.issuer is not None:
        yield "instr(lower(json_extract(fields, '$.issuer')), ?)", (where.issuer,)
    if where.expiring is not None:
        yield "json_extract(fields, '$.not_after') BETWEEN ? AND ?", where.expiring
    if where.new_since is not None:
        yield "first_seen >= ?", (where.new_since,)
