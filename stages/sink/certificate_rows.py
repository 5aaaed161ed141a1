"""Certificates in SQLite: which rows a filter means, and a row back into a document. Pure.

Every condition but `issuer` is a range of an index. The order of `sha256` is asked for as `+sha256` then: SQLite, which
knows nothing of how many rows a range has, would rather read all of them in that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from stages.proto.x509.hostnames import reverse
from stages.sink.documents import Document
from stages.sink.store import Filter

CERTIFICATE_COLUMNS: Final = "sha256, first_seen, last_seen, fields, raw, verdicts"


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
