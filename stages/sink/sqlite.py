"""The SQLite store: one file, the same documents as MongoDB, one transaction a batch.

Writing goes through the process's one writer on the file (`stages.core.sqlitefile`), where the bus may be too. In one
transaction an observation that is new moves its service, and one that is not does not; so `services` follow what is
stored without reading it back. Reading has a connection of its own and sees one snapshot.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import orjson

from stages.core.errors import UsageError
from stages.core.sqlitefile import SqliteFile, mapped
from stages.proto.x509.hostnames import reverse
from stages.sink.certificate_rows import CERTIFICATE_COLUMNS, certificate_conditions, certify_again, read_certificate
from stages.sink.documents import (
    EVENTS,
    KINDS,
    MAX_DOCUMENT_BYTES,
    V4_MAPPED,
    CertificateSeen,
    Document,
    Observation,
    ScanUpdate,
    ServiceUpdate,
    fold_services,
    ip_of,
    service_id,
    summary,
)
from stages.sink.migrations import MIGRATIONS, PART
from stages.sink.store import OBSERVED, Batch, Collection, Filter, Written, ranges

#: Page cache of the writer: 1 M services are some 300 MB, and a batch touches a page for each.
CACHE_BYTES: Final = 128 * 2**20

#: Pages of WAL before a checkpoint, 64 MiB: a page of an index that many batches touch is then copied to the file once.
CHECKPOINT_PAGES: Final = 16_384

#: Rows fetched at once by a reader: what it holds in memory.
READ_ROWS: Final = 500

#: Rows of one statement: as many of the first size as there are, the rest in smaller ones. sqlite3 lets go of the
#: interpreter's lock for each step and then waits to have it again, up to 5 ms while another thread computes; one step
#: for many rows lets the two really work at once. 10 columns of 1,024 rows are below SQLite's limit of 32,766 values.
STATEMENT_ROWS: Final = (1_024, 256, 64, 16, 4, 1)

#: Observations removed in one transaction: a purge must not hold up the sink.
PURGE_ROWS: Final = 5_000

_ID_BYTES: Final = 16
_V4_BYTES: Final = 4

Row = tuple[Any, ...]


def _placeholders(columns: int, rows: int) -> str:
    one = f"({', '.join('?' * columns)})"
    return ", ".join([one] * rows)


@cache
def _upsert_service(kind: str, rows: int) -> str:
    """SQL for rows of (address, port, transport, name, first, last, ts, id, summary[, data])."""
    slots = [f"{kind}_ts", f"{kind}_id", kind, *([f"{kind}_data"] if kind == "banner" else [])]
    newer = (
        f"services.{kind}_ts IS NULL"
        f" OR (excluded.{kind}_ts, excluded.{kind}_id) > (services.{kind}_ts, services.{kind}_id)"
    )
    return (
        f"INSERT INTO services (address, port, transport, name, first_seen, last_seen, {', '.join(slots)})"
        f" VALUES {_placeholders(6 + len(slots), rows)} ON CONFLICT DO UPDATE SET"
        " first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen), "
        + ", ".join(f"{slot} = CASE WHEN {newer} THEN excluded.{slot} ELSE services.{slot} END" for slot in slots)
    )


@cache
def _observe(_: str, rows: int) -> str:
    """SQL for rows of `_observation_row`."""
    return f"INSERT OR IGNORE INTO observations VALUES {_placeholders(10, rows)}"


def _upsert_scan(event: str) -> str:
    """SQL: (scan, first, last, ts, id, said). Of two starts the older stays, of the others the newer."""
    slots = [f"{event}_ts", f"{event}_id", f'"{event}"']
    sign = "<" if event == "start" else ">"
    wins = (
        f"scans.{event}_ts IS NULL"
        f" OR (excluded.{event}_ts, excluded.{event}_id) {sign} (scans.{event}_ts, scans.{event}_id)"
    )
    return (
        f"INSERT INTO scans (scan, first_seen, last_seen, {', '.join(slots)})"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen), "
        + ", ".join(f"{slot} = CASE WHEN {wins} THEN excluded.{slot} ELSE scans.{slot} END" for slot in slots)
    )


_SCANS: Final = {event: _upsert_scan(event) for event in EVENTS}
_CERTIFY: Final = (
    "INSERT INTO certificates (sha256, first_seen, last_seen, fields, raw) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)"
)
_NAME: Final = "INSERT OR IGNORE INTO names VALUES (?, ?)"


def _packed(record_id: str) -> bytes | str:
    """A record id as it lies in the table: 16 bytes where it is 32 lower-case hex digits."""
    if len(record_id) == 2 * _ID_BYTES:
        try:
            packed = bytes.fromhex(record_id)
        except ValueError:
            return record_id
        if packed.hex() == record_id:
            return packed
    return record_id


def _short(address: bytes) -> bytes:
    """An address as it lies in the tables: 4 bytes for IPv4."""
    return address[12:] if address.startswith(V4_MAPPED) else address


def _long(address: bytes) -> bytes:
    """The inverse of `_short`."""
    return V4_MAPPED + address if len(address) == _V4_BYTES else address


def _json(document: Document) -> str:
    return orjson.dumps(document).decode()


def _observation_row(o: Observation) -> Row:
    return (
        _packed(o.id),
        o.kind,
        o.scan,
        o.ts,
        _short(o.address),
        o.port,
        o.transport,
        o.name,
        orjson.dumps(o.body).decode(),
        o.data,
    )


def _service_row(update: ServiceUpdate) -> Row:
    o = update.newest
    shown = summary(o)
    key = (_short(o.address), o.port, o.transport, o.name, update.first_seen, update.last_seen, o.ts, o.id)
    if o.kind == "banner":
        data = shown.pop("data")
        return (*key, _json(shown), data)
    return (*key, _json(shown))


class SqliteStore:
    """Documents in one SQLite file. `read_only`: the file must be there, and nothing is made."""

    name = "sqlite"

    def __init__(self, path: str | Path, *, read_only: bool = False, cache_bytes: int = CACHE_BYTES) -> None:
        self.path = Path(path)
        self.place = str(path)
        self._read_only = read_only
        self._cache_bytes = cache_bytes
        self._file: SqliteFile | None = None

    async def open(self) -> None:
        if self._read_only:
            if not self.path.is_file():
                raise UsageError("--store", self.place, "no such file")
            return
        if self._file is None:
            self._file = await asyncio.to_thread(self._open)

    def _open(self) -> SqliteFile:
        file = SqliteFile.open(self.path)
        try:
            file.migrate(PART, MIGRATIONS)
            file.write_sync(self._tune)
        except BaseException:
            file.close()
            raise
        return file

    def _tune(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA cache_size = -{self._cache_bytes >> 10}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    async def init(self, retention: float | None) -> list[str]:
        await self.open()
        done = [f"{self.place}: tables and indexes of version {len(MIGRATIONS)}"]
        if retention:
            done.append("SQLite forgets nothing by itself: run `longline sink --purge` with the same --retention")
        return done

    def _opened(self) -> SqliteFile:
        assert self._file is not None, "the store is not open"
        return self._file

    # --- writing

    async def write(self, batch: Batch) -> Written:
        written = Written()
        observations: list[Observation] = []
        rows: list[Row] = []
        for o in batch.observations:
            try:
                row = _observation_row(o)
            except TypeError as error:  # orjson: what JSON cannot hold
                written.rejected[o.id] = str(error)
                continue
            size = len(row[8]) + len(o.data or b"")
            if size > MAX_DOCUMENT_BYTES:
                written.rejected[o.id] = f"{size} bytes, at most {MAX_DOCUMENT_BYTES}"
                continue
            observations.append(o)
            rows.append(row)

        def work(connection: sqlite3.Connection) -> Written:
            result = Written(rejected=written.rejected)
            _write_certificates(connection, batch.certificates, result)
            stored = _write_observations(connection, observations, rows)
            result.stored = len(stored)
            result.repeated = len(observations) - len(stored)
            result.services = _write_services(connection, stored)
            result.scans = _write_scans(connection, batch.scans)
            return result

        return await self._opened().write(work)

    async def purge(self, before: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "DELETE FROM observations WHERE rowid IN (SELECT rowid FROM observations WHERE ts < ? LIMIT ?)",
                (before, PURGE_ROWS),
            ).rowcount

        gone = 0
        while n := await self._opened().write(work):
            gone += n
        return gone

    async def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            await asyncio.to_thread(file.close)

    # --- reading

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _named(self, error: sqlite3.Error) -> Exception:
        if isinstance(error, sqlite3.OperationalError) and "no such table" in str(error):
            return UsageError("--store", self.place, "nothing was stored in this file yet")
        if isinstance(error, sqlite3.OperationalError) and "no such column" in str(error):
            return UsageError("--store", self.place, "made by an older Longline: `longline sink --init` renews it")
        return mapped(error, self.path)

    async def count(self, collection: Collection) -> int:
        kind = OBSERVED.get(collection)
        table = "observations" if kind else str(collection)
        where, bound = ("WHERE kind = ?", (kind,)) if kind else ("", ())

        def work() -> int:
            with closing(self._connect()) as connection:
                try:
                    row = connection.execute(f"SELECT count(*) FROM {table} {where}", bound).fetchone()
                except sqlite3.Error as error:
                    raise self._named(error) from error
                return int(row[0])

        return await asyncio.to_thread(work)

    async def find(self, collection: Collection, where: Filter) -> AsyncIterator[Document]:
        sql, bound, read = _query(collection, where)
        connection = await asyncio.to_thread(self._connect)
        try:
            cursor = await asyncio.to_thread(connection.execute, sql, bound)
            while rows := await asyncio.to_thread(cursor.fetchmany, READ_ROWS):
                for row in rows:
                    yield read(row)
        except sqlite3.Error as error:
            raise self._named(error) from error
        finally:
            connection.close()


# --- the parts of one transaction


def _insert(connection: sqlite3.Connection, sql: Callable[[str, int], str], kind: str, rows: list[Row]) -> int:
    """Run an insert over all rows, many at a time. Returns how many rows changed."""
    changed = start = 0
    for size in STATEMENT_ROWS:
        while len(rows) - start >= size:
            part = rows[start : start + size]
            changed += connection.execute(sql(kind, size), list(chain.from_iterable(part))).rowcount
            start += size
    return changed


def _write_observations(
    connection: sqlite3.Connection, observations: list[Observation], rows: list[Row]
) -> list[Observation]:
    """Insert; returns those that were not there: all of them, nearly always, and then nothing is read back."""
    if not rows:
        return []
    last = connection.execute("SELECT max(rowid) FROM observations").fetchone()[0] or 0  # new rows come behind it
    if _insert(connection, _observe, "", rows) == len(rows):
        return observations
    new = set(connection.execute("SELECT address, port, id FROM observations WHERE rowid > ?", (last,)))
    stored = []
    for o, row in zip(observations, rows, strict=True):
        key = (row[4], row[5], row[0])
        if key in new:
            new.discard(key)  # of two with one id the first
            stored.append(o)
    return stored


def _write_services(connection: sqlite3.Connection, stored: list[Observation]) -> int:
    """Move the services of what was stored."""
    kinds: dict[str, list[Row]] = {}
    for update in fold_services(stored):
        kinds.setdefault(update.newest.kind, []).append(_service_row(update))
    for kind, rows in kinds.items():
        rows.sort(key=itemgetter(0))  # in the order of the index: neighbours share a page
        _insert(connection, _upsert_service, kind, rows)
    return sum(map(len, kinds.values()))


def _write_certificates(connection: sqlite3.Connection, seen: list[CertificateSeen], result: Written) -> None:
    known = [c for c in seen if c.fields is None]
    result.missing = certify_again(connection, known, STATEMENT_ROWS)
    for certificate in seen:
        if certificate.fields is not None:
            digest = bytes.fromhex(certificate.sha256)
            times = (certificate.first_seen, certificate.last_seen)
            connection.execute(_CERTIFY, (digest, *times, _json(certificate.fields), certificate.raw))
            connection.executemany(_NAME, [(reverse(name), digest) for name in certificate.fields["names"]])
    result.certificates = len(seen) - len(result.missing)


def _write_scans(connection: sqlite3.Connection, updates: list[ScanUpdate]) -> int:
    for update in updates:
        for event, (ts, record_id, said) in update.events.items():
            connection.execute(
                _SCANS[event], (update.scan, update.first_seen, update.last_seen, ts, record_id, _json(said))
            )
    return len(updates)


# --- rows back into documents

_SERVICE_COLUMNS: Final = (
    "address, port, transport, name, first_seen, last_seen,"
    " hit_ts, hit_id, hit, banner_ts, banner_id, banner, banner_data, tls_ts, tls_id, tls"
)
_OBSERVATION_COLUMNS: Final = "id, kind, scan, ts, address, port, transport, name, body, data"
_SCAN_COLUMNS: Final = (
    'scan, first_seen, last_seen, start_ts, start_id, start, progress_ts, progress_id, progress, end_ts, end_id, "end"'
)


def _read_service(row: Sequence[Any]) -> Document:
    address = _long(row[0])
    port, transport, name, first_seen, last_seen = row[1:6]
    ip = ip_of(address)
    document: Document = {
        "_id": service_id(ip, port, transport, name),
        "ip": ip,
        "address": address,
        "port": port,
        "transport": transport,
    }
    if name:
        document["name"] = name
    document["first_seen"] = first_seen
    document["last_seen"] = last_seen
    hit_ts, hit_id, hit, banner_ts, banner_id, banner, data, tls_ts, tls_id, tls = row[6:]
    if hit_ts is not None:
        document["hit"] = {"ts": hit_ts, "id": hit_id, **orjson.loads(hit)}
    if banner_ts is not None:
        document["banner"] = {"ts": banner_ts, "id": banner_id, **orjson.loads(banner), "data": data}
    if tls_ts is not None:
        document["tls"] = {"ts": tls_ts, "id": tls_id, **orjson.loads(tls)}
    return document


def _read_observation(row: Sequence[Any]) -> Document:
    record_id, kind, scan, ts, short, port, transport, name, body, data = row
    address = _long(short)
    return Observation(
        id=record_id.hex() if isinstance(record_id, bytes) else record_id,
        kind=kind,
        scan=scan,
        ts=ts,
        ip=ip_of(address),
        address=address,
        port=port,
        transport=transport,
        name=name,
        body=orjson.loads(body),
        data=data,
    ).document()


def _read_scan(row: Sequence[Any]) -> Document:
    document: Document = {"_id": row[0], "first_seen": row[1], "last_seen": row[2]}
    for i, event in enumerate(EVENTS):
        ts, record_id, said = row[3 + 3 * i : 6 + 3 * i]
        if ts is not None:
            document[event] = {"ts": ts, "id": record_id, **orjson.loads(said)}
    return document


_READERS: Final[dict[str, tuple[str, str, Callable[[Sequence[Any]], Document]]]] = {
    "services": (_SERVICE_COLUMNS, "address, port, transport, name", _read_service),
    "observations": (_OBSERVATION_COLUMNS, "ts, rowid", _read_observation),
    "certificates": (CERTIFICATE_COLUMNS, "sha256", read_certificate),
    "scans": (_SCAN_COLUMNS, "first_seen, scan", _read_scan),
}


def _conditions(collection: Collection, where: Filter) -> Iterator[tuple[str, tuple[Any, ...]]]:
    kind = OBSERVED.get(collection)
    services = collection is Collection.SERVICES
    if kind is not None:
        yield "kind = ?", (kind,)
    if where.network is not None:
        parts = [(_short(first), _short(last)) for first, last in ranges(where.network)]
        condition = " OR ".join(["(address BETWEEN ? AND ? AND length(address) = ?)"] * len(parts))
        yield f"({condition})", tuple(value for first, last in parts for value in (first, last, len(first)))
    if where.port is not None:
        yield "port = ?", (where.port,)
    if where.outcome is not None:
        columns = ("banner", "tls") if services else ("body",)
        condition = " OR ".join(f"json_extract({c}, '$.outcome') = ?" for c in columns)
        yield f"({condition})", (where.outcome,) * len(columns)
    if where.scan is not None:
        if services:
            condition = " OR ".join(f"json_extract({c}, '$.scan') = ?" for c in KINDS)
            yield f"({condition})", (where.scan,) * len(KINDS)
        else:
            yield "scan = ?", (where.scan,)
    if where.since is not None:
        yield ("ts >= ?" if kind else "last_seen >= ?"), (where.since,)
    if where.name is not None and collection is not Collection.CERTIFICATES:
        yield "name = ?", (where.name,)
    if collection is Collection.CERTIFICATES:
        yield from certificate_conditions(where)


def _query(collection: Collection, where: Filter) -> tuple[str, tuple[Any, ...], Callable[[Sequence[Any]], Document]]:
    table = "observations" if collection in OBSERVED else str(collection)
    columns, order, read = _READERS[table]
    conditions = list(_conditions(collection, where))
    sql = f"SELECT {columns} FROM {table}"
    if conditions:
        sql += " WHERE " + " AND ".join(text for text, _ in conditions)
    sql += f" ORDER BY {'+' if collection is Collection.CERTIFICATES and conditions else ''}{order}"
    bound = [value for _, values in conditions for value in values]
    if where.limit is not None:
        sql += " LIMIT ?"
        bound.append(where.limit)
    return sql, tuple(bound), read
