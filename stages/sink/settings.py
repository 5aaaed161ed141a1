"""Settings of the sink, and of reading what it stored."""

from __future__ import annotations

from typing import Final

import pydantic

from stages.core.settings import Seconds, Section, Size, opt

#: Records written together. In a large batch more of them touch the same pages and share one wait for the disk
#: (measured: 8,000 in one transaction are written twice as fast as 2,000); all of it lies in memory meanwhile.
DEFAULT_BATCH: Final = 8_192

#: Rows that `longline query` shows unless told otherwise.
DEFAULT_LIMIT: Final = 100


class SinkSettings(Section):
    """Sink: everything stored, once"""

    init: bool = opt(
        False, "--init", help="make tables and indexes in the store (and the TTL of --retention), then end"
    )
    purge: bool = opt(False, "--purge", help="remove observations older than --retention, then end")
    retention: Seconds | None = opt(
        None,
        "--retention",
        metavar="AGE",
        help="keep observations so long, such as 90d (MongoDB: TTL index of --init; SQLite: --purge); 0: for ever",
    )
    batch: int = opt(DEFAULT_BATCH, "--batch", metavar="N", help="records written together, at most", ge=1, le=100_000)
    batch_bytes: Size = opt(8 * 2**20, help="bytes of records written together, about", gt=0)
    batch_age: Seconds = opt(0.5, help="seconds that a record waits for others to be written with", ge=0)
    writers: int = opt(2, help="batches being written at once", ge=1, le=16)
    timeout: Seconds = opt(20.0, help="MongoDB: seconds to wait for one answer, and for the majority", gt=0)
    cache_bytes: Size = opt(128 * 2**20, help="SQLite: page cache of the writer", gt=0)

    @pydantic.model_validator(mode="after")
    def _purge_needs_an_age(self) -> SinkSettings:
        if self.purge and not self.retention:
            raise ValueError("--purge needs --retention, such as 90d")
        if self.purge and self.init:
            raise ValueError("--purge and --init are two things")
        return self


class EraseSettings(Section):
    """Erase: what was seen at the addresses of networks"""

    reason: str = opt("", "--reason", metavar="TEXT", help="why, for the record that is kept")
    dry_run: bool = opt(False, "--dry-run", help="count what would be erased, and erase nothing")
    list_: bool = opt(False, "--list", help="show what was erased before")
    json_: bool = opt(False, "--json", help="one JSON object a line instead of a table")


class QuerySettings(Section):
    """Query: which documents to read; all filters hold together"""

    ip: str | None = opt(None, "--ip", metavar="CIDR", help="address or network")
    port: int | None = opt(None, "--port", metavar="N", help="port", ge=0, le=65535)
    outcome: str | None = opt(None, "--outcome", metavar="NAME", help="ok, refused, ... (services: the latest)")
    scan: str | None = opt(None, "--scan", metavar="NAME", help="scan (services: of the latest answers)")
    since: str | None = opt(
        None, "--since", metavar="TIME", help="seen then or later: RFC 3339, or an age such as 30m, 12h, 7d"
    )
    name: str | None = opt(
        None, "--name", metavar="NAME", help="server name, or a name in a certificate (*.example.org: all below it)"
    )
    issuer: str | None = opt(None, "--issuer", metavar="TEXT", help="certificates: part of the issuer's name")
    expiring: Seconds | None = opt(
        None, "--expiring", metavar="AGE", help="certificates: that end within this time, such as 30d", ge=0
    )
    new_since: str | None = opt(
        None, "--new-since", metavar="TIME", help="certificates: first seen then or later, as --since"
    )
    key_shared: bool = opt(
        False, "--key-shared", help="certificates: keys at more than one address, not the certificates"
    )
    moved: bool = opt(
        False,
        "--moved",
        help="certificates: those, their keys and SSH host keys that turned up at a new address, and from where",
    )
    limit: int = opt(DEFAULT_LIMIT, "--limit", metavar="N", help="at most so many; 0: all", ge=0)
    json_: bool = opt(False, "--json", help="one JSON object a line instead of a table")


class ExportSettings(Section):
    """Export: documents as JSON Lines or CSV"""

    format: str = opt("jsonl", "-f", "--format", help="form of the output", choices=("jsonl", "csv"))
    output: str = opt("-", "-o", "--output", metavar="FILE", help="file to write; -: standard output")


class DatasetSettings(Section):
    """Dataset: files with a manifest"""

    format: str = opt(
        "jsonl", "-f", "--format", help="JSON Lines in Zstandard, or Parquet", choices=("jsonl", "parquet")
    )
