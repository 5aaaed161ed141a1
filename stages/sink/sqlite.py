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

from stages.core.errors import UsageError
from stages.core.sqlitefile import SqliteFile, mapped
from stages.proto.x509.hostnames import reverse
from stages.sink.certificate_rows import certificate_conditions, certify_again
from stages.sink.documents import (
    EVENTS,
    KINDS,
    MAX_DOCUMENT_BYTES,
    CertificateSeen,
    Document,
    Observation,
    ScanUpdate,
)
from stages.sink.erasure import TABLES, Erasure
from stages.sink.migrations import MIGRATIONS, PART
from stages.sink.rows import READERS, Prepared, Row, ServiceRows, as_json, prepared, service_rows, short
from stages.sink.store import OBSERVED, Batch, Collection, Filter, Written, ranges

#: Page cache of the writer: 1 M services are some 300 MB, and a batch touches a page for each.
CACHE_BYTES: Final = 128 * 2**20

#: Rows fetched at once by a reader: what it holds in memory.
READ_ROWS: Final = 500

#: Rows of one statement: as many of the first size as there are, the rest in smaller ones. sqlite3 lets go of the
#: interpreter's lock for each step and then waits to have it again, up to 5 ms while another thread computes; one step
#: for many rows lets the two really work at once. 16 columns of 2,000 rows are below SQLite's limit of 32,766 values.
STATEMENT_ROWS: Final = (2_000, 256, 64, 16, 4, 1)

#: Observations removed in one transaction: a purge must not hold up the sink.
PURGE_ROWS: Final = 5_000

#: The body of an observation that is prepared.
_EMPTY: Final[Document] = {}

#: Of an observation's row: what `observations_key` is an index of.
_key: Final = itemgetter(2, 4, 5, 0)
#: In this order of that index neighbours share a page. (Without the id: it may be bytes or text.)
_place: Final = itemgetter(2, 4, 5)


def _placeholders(columns: int, rows: int) -> str:
    one = f"({', '.join('?' * columns)})"
    return ", ".join([one] * rows)


@cache
def _upsert_services(kinds: tuple[str, ...], rows: int) -> str:
    """SQL for the rows of `service_rows` under `kinds`. Each kind's latest wins for itself."""
    columns, sets = [], []
    for kind in kinds:
        slots = [f"{kind}_ts", f"{kind}_id", kind, *([f"{kind}_data"] if kind == "banner" else [])]
        newer = (
            f"services.{kind}_ts IS NULL"
            f" OR (excluded.{kind}_ts, excluded.{kind}_id) > (services.{kind}_ts, services.{kind}_id)"
        )
        columns += slots
        sets += [f"{slot} = CASE WHEN {newer} THEN excluded.{slot} ELSE services.{slot} END" for slot in slots]
    return (
        f"INSERT INTO services (address, port, transport, name, first_seen, last_seen, {', '.join(columns)})"
        f" VALUES {_placeholders(6 + len(columns), rows)} ON CONFLICT DO UPDATE SET"
        " first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen), "
        + ", ".join(sets)
    )


@cache
def _observe(_: tuple[str, ...], rows: int) -> str:
    """SQL for the rows of observations."""
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

    def prepare(self, observation: Observation) -> None:
        try:
            observation.prepared = prepared(observation)
        except TypeError:  # what JSON cannot hold: `write` refuses it
            return
        observation.body, observation.data = _EMPTY, None

    async def write(self, batch: Batch) -> Written:
        rejected: dict[str, str] = {}
        observed: list[Prepared] = []
        for o in batch.observations:
            ready = o.prepared
            if ready is None:
                try:
                    ready = prepared(o)
                except TypeError as error:  # orjson: what JSON cannot hold
                    rejected[o.id] = str(error)
                    continue
            if ready.size > MAX_DOCUMENT_BYTES:
                rejected[o.id] = f"{ready.size} bytes, at most {MAX_DOCUMENT_BYTES}"
                continue
            observed.append(ready)
        rows = [ready.row for ready in observed]
        rows.sort(key=_place)
        moved = service_rows(observed)  # here, beside the writer: nearly always all of them are new

        def work(connection: sqlite3.Connection) -> Written:
            result = Written(rejected=rejected)
            _write_certificates(connection, batch.certificates, result)
            new = _write_observations(connection, rows)
            if new is None:
                result.stored, services = len(rows), moved
            else:
                result.stored, result.repeated = len(new), len(rows) - len(new)
                services = service_rows(ready for ready in observed if _key(ready.row) in new)
            result.services = _write_services(connection, services)
            result.scans = _write_scans(connection, batch.scans)
            return result

        return await self._opened().write(work, alone=True)

    async def purge(self, before: int) -> int:
        gone = {"events": 0, "observations": 0}
        for table in gone:
            sql = f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE ts < ? LIMIT ?)"

            def work(connection: sqlite3.Connection, sql: str = sql) -> int:
                return connection.execute(sql, (before, PURGE_ROWS)).rowcount

            while n := await self._opened().write(work):
                gone[table] += n
        return gone["observations"]

    async def erase(
        self, erasure: Erasure, network: tuple[bytes, bytes], clock: Callable[[], float], *, dry: bool = False
    ) -> None:
        if dry:
            await asyncio.to_thread(self._count_in, erasure, network)
            return
        file = self._opened()
        number = await file.write(lambda connection: _begin_erasure(connection, erasure))
        for table in TABLES:
            condition, bound = _at_addresses(table, network)
            key = _KEY[table]
            sql = f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT ?)"

            def step(connection: sqlite3.Connection, sql: str = sql, bound: tuple[Any, ...] = bound) -> int:
                return connection.execute(sql, (*bound, PURGE_ROWS)).rowcount

            while n := await file.write(step):
                setattr(erasure, table, getattr(erasure, table) + n)
        erasure.ended = int(clock() * 1e6)
        await file.write(lambda connection: _end_erasure(connection, number, erasure))

    def _count_in(self, erasure: Erasure, network: tuple[bytes, bytes]) -> None:
        with closing(self._connect()) as connection:
            try:
                for table in TABLES:
                    condition, bound = _at_addresses(table, network)
                    sql = f"SELECT count(*) FROM {table} WHERE {condition}"
                    setattr(erasure, table, connection.execute(sql, bound).fetchone()[0])
            except sqlite3.Error as error:
                raise self._named(error) from error

    async def erasures(self) -> list[Erasure]:
        def work() -> list[Erasure]:
            with closing(self._connect()) as connection:
                try:
                    rows = connection.execute(f"SELECT {_ERASURE} FROM erasures ORDER BY number").fetchall()
                except sqlite3.Error as error:
                    if "no such table: erasures" in str(error):  # made by an older Longline, which erased nothing
                        return []
                    raise self._named(error) from error
                return [Erasure(*row) for row in rows]

        return await asyncio.to_thread(work)

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


# --- erasing

#: What tells the rows of a table apart; `sightings` has no rowid.
_KEY: Final = {
    "observations": "rowid", "services": "rowid", "sightings": "thing, hash, address, port, transport, name",
    "states": "rowid", "events": "rowid",
}  # fmt: skip
_ERASURE: Final = "network, at, reason, observations, services, sightings, states, events, ended"


def _at_addresses(table: str, network: tuple[bytes, bytes]) -> tuple[str, tuple[Any, ...]]:
    """SQL: in a table, what was seen at the addresses of a network, and its values."""
    condition, bound = of_network(network)
    if table == "events":  # of what moved: where it came from, too
        return f"{condition} OR {of_network(network, 'origin')[0]}", bound * 2
    return (f"{IN_EACH_SCAN} AND {condition}" if table == "observations" else condition), bound


def _begin_erasure(connection: sqlite3.Connection, erasure: Erasure) -> int:
    row = (erasure.network, erasure.at, erasure.reason, *[0] * len(TABLES), None)
    # What is removed is overwritten, and not only forgotten.
    connection.execute("PRAGMA secure_delete = ON")
    number = connection.execute(
        f"INSERT INTO erasures ({_ERASURE}) VALUES ({_placeholders(len(row), 1)[1:-1]})", row
    ).lastrowid
    assert number is not None
    return number


def _end_erasure(connection: sqlite3.Connection, number: int, erasure: Erasure) -> None:
    connection.execute(
        f"UPDATE erasures SET {' = ?, '.join(TABLES)} = ?, ended = ? WHERE number = ?",
        (*(getattr(erasure, table) for table in TABLES), erasure.ended, number),
    )


# --- the parts of one transaction


def _insert(
    connection: sqlite3.Connection, sql: Callable[[tuple[str, ...], int], str], kinds: tuple[str, ...], rows: list[Row]
) -> int:
    """Run an insert over all rows, many at a time. Returns how many rows changed."""
    changed = start = 0
    for size in STATEMENT_ROWS:
        while len(rows) - start >= size:
            part = rows[start : start + size]
            changed += connection.execute(sql(kinds, size), list(chain.from_iterable(part))).rowcount
            start += size
    return changed


def _write_observations(connection: sqlite3.Connection, rows: list[Row]) -> set[Row] | None:
    """Insert. Returns the keys (`_key`) of those that were not there; None: all of them, as nearly always,
    and then nothing is read back."""
    changed = _insert(connection, _observe, (), rows)
    if changed == len(rows):
        return None
    # New rows come behind all others.
    newest = "SELECT scan, address, port, id FROM observations ORDER BY rowid DESC LIMIT ?"
    return set(connection.execute(newest, (changed,)))


def _write_services(connection: sqlite3.Connection, services: ServiceRows) -> int:
    """Move the services of what was stored."""
    for kinds, rows in services.rows.items():
        _insert(connection, _upsert_services, kinds, rows)
    return services.updates


def _write_certificates(connection: sqlite3.Connection, seen: list[CertificateSeen], result: Written) -> None:
    known = [c for c in seen if c.fields is None]
    result.missing = certify_again(connection, known, STATEMENT_ROWS)
    for certificate in seen:
        if certificate.fields is not None:
            digest = bytes.fromhex(certificate.sha256)
            times = (certificate.first_seen, certificate.last_seen)
            connection.execute(_CERTIFY, (digest, *times, as_json(certificate.fields), certificate.raw))
            connection.executemany(_NAME, [(reverse(name), digest) for name in certificate.fields["names"]])
    result.certificates = len(seen) - len(result.missing)


def _write_scans(connection: sqlite3.Connection, updates: list[ScanUpdate]) -> int:
    for update in updates:
        for event, (ts, record_id, said) in update.events.items():
            connection.execute(
                _SCANS[event], (update.scan, update.first_seen, update.last_seen, ts, record_id, as_json(said))
            )
    return len(updates)


#: The scans that have observations, by one look into the index for each: what stands behind the scan in
#: `observations_key` can then be searched by in each of them.
EACH_SCAN: Final = (
    "WITH RECURSIVE each(scan) AS (SELECT min(scan) FROM observations UNION ALL"
    " SELECT (SELECT min(scan) FROM observations WHERE scan > each.scan) FROM each WHERE each.scan IS NOT NULL)"
    " SELECT scan FROM each WHERE scan IS NOT NULL"
)
IN_EACH_SCAN: Final = f"scan IN ({EACH_SCAN})"


def of_network(network: tuple[bytes, bytes], column: str = "address") -> tuple[str, tuple[Any, ...]]:
    """SQL: what lies in a network, and its values."""
    parts = [(short(first), short(last)) for first, last in ranges(network)]
    condition = " OR ".join([f"({column} BETWEEN ? AND ? AND length({column}) = ?)"] * len(parts))
    return f"({condition})", tuple(value for first, last in parts for value in (first, last, len(first)))


def _conditions(collection: Collection, where: Filter) -> Iterator[tuple[str, tuple[Any, ...]]]:
    kind = OBSERVED.get(collection)
    services = collection is Collection.SERVICES
    if kind is not None:
        yield "kind = ?", (kind,)
        if where.network is not None and where.scan is None:
            yield IN_EACH_SCAN, ()
    if where.network is not None:
        yield of_network(where.network)
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
    columns, order, read = READERS[table]
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
