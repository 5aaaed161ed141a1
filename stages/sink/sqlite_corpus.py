"""The corpus in SQLite (`stages.sink.corpus`): the store's own file, its one writer, its readers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, TypeVar

import orjson

from stages.proto.x509.hostnames import reverse
from stages.sink.certificate_rows import CERTIFICATE_COLUMNS, read_certificate
from stages.sink.corpus import KINDS, MAX_ASKED, MAX_ASKED_SIGHTINGS, Found, Seen
from stages.sink.documents import Document, ip_of
from stages.sink.sqlite import READ_ROWS, SqliteStore, _long, _short
from stages.sink.store import Collection, Filter

T = TypeVar("T")

_SEE: Final = (
    "INSERT INTO sightings VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)"
)
_SIGHTINGS: Final = "SELECT thing, hash, address, port, transport, name, first_seen, last_seen FROM sightings"
_SIGHTINGS_ORDER: Final = " ORDER BY thing, hash, address, port, transport, name"


class SqliteCorpus(SqliteStore):
    """See `stages.sink.corpus.Corpus`."""

    async def _reading(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def read() -> T:
            with closing(self._connect()) as connection:
                try:
                    return work(connection)
                except sqlite3.Error as error:
                    raise self._named(error) from error

        return await asyncio.to_thread(read)

    def observed(self, kind: str, since: int | None) -> AsyncIterator[Mapping[str, Any]]:
        return self.find(KINDS[kind], Filter(since=since))

    async def count_certificates(self) -> int:
        return await self.count(Collection.CERTIFICATES)

    async def after(self, digest: str, most: int, *, reader: int | None = None) -> list[Document]:
        sql = f"SELECT {CERTIFICATE_COLUMNS} FROM certificates WHERE sha256 > ?"
        bound: list[Any] = [bytes.fromhex(digest)]
        if reader is not None:
            sql += " AND json_extract(fields, '$.reader') IS NOT ?"
            bound.append(reader)
        sql += " ORDER BY sha256 LIMIT ?"
        bound.append(most)
        return await self._reading(lambda c: [read_certificate(row) for row in c.execute(sql, bound)])

    async def keys_of(self, digests: Sequence[str]) -> dict[str, str]:
        sql = "SELECT json_extract(fields, '$.spki_sha256') FROM certificates WHERE sha256 = ?"

        def work(connection: sqlite3.Connection) -> dict[str, str]:
            found = {}
            for digest in digests:
                row = connection.execute(sql, (bytes.fromhex(digest),)).fetchone()
                if row is not None and row[0] is not None:
                    found[digest] = row[0]
            return found

        return await self._reading(work)

    async def authorities(self, subject: str, most: int) -> list[bytes]:
        sql = (
            "SELECT raw FROM certificates WHERE json_extract(fields, '$.subject_sha256') = ?"
            " AND json_extract(fields, '$.ca') = 1 ORDER BY sha256 LIMIT ?"
        )
        return await self._reading(lambda c: [row[0] for row in c.execute(sql, (subject, most))])

    async def asked_of(self, digests: Sequence[str]) -> dict[str, list[str]]:
        sql = (
            "SELECT DISTINCT name FROM (SELECT name FROM sightings WHERE thing = 'certificate' AND hash = ? LIMIT ?)"
            " WHERE name <> '' ORDER BY name LIMIT ?"
        )

        def work(connection: sqlite3.Connection) -> dict[str, list[str]]:
            found = {}
            for digest in digests:
                bound = (bytes.fromhex(digest), MAX_ASKED_SIGHTINGS, MAX_ASKED)
                names = [row[0] for row in connection.execute(sql, bound)]
                if names:
                    found[digest] = names
            return found

        return await self._reading(work)

    async def services_of(self, digests: Sequence[str]) -> dict[str, int]:
        sql = "SELECT count(*) FROM sightings WHERE thing = 'certificate' AND hash = ?"
        return await self._reading(
            lambda c: {digest: int(c.execute(sql, (bytes.fromhex(digest),)).fetchone()[0]) for digest in digests}
        )

    async def see(self, sightings: Sequence[Seen]) -> None:
        rows = sorted(
            (
                str(s.thing),
                bytes.fromhex(s.hash),
                _short(s.address),
                s.port,
                s.transport,
                s.name,
                s.first_seen,
                s.last_seen,
            )
            for s in sightings
        )
        await self._opened().write(lambda c: c.executemany(_SEE, rows).rowcount)

    async def sightings(self, thing: str | None = None) -> AsyncIterator[Document]:
        sql = _SIGHTINGS + ("" if thing is None else " WHERE thing = ?") + _SIGHTINGS_ORDER
        connection = await asyncio.to_thread(self._connect)
        try:
            cursor = await asyncio.to_thread(connection.execute, sql, () if thing is None else (thing,))
            while rows := await asyncio.to_thread(cursor.fetchmany, READ_ROWS):
                for row in rows:
                    yield _read_sighting(row)
        except sqlite3.Error as error:
            raise self._named(error) from error
        finally:
            connection.close()

    async def judge(self, judged: Sequence[Found]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for one in judged:
                digest = bytes.fromhex(one.sha256)
                if one.verdicts is not None:
                    said = orjson.dumps(one.verdicts).decode()
                    connection.execute("UPDATE certificates SET verdicts = ? WHERE sha256 = ?", (said, digest))
                if one.fields is not None:
                    _reread(connection, digest, one.fields)

        await self._opened().write(work)

    async def state(self, job: str) -> Document | None:
        sql = "SELECT state FROM jobs WHERE job = ?"
        row = await self._reading(lambda c: c.execute(sql, (job,)).fetchone())
        return None if row is None else dict(orjson.loads(row[0]))

    async def save(self, job: str, state: Document) -> None:
        sql = "INSERT INTO jobs VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state"
        said = orjson.dumps(state).decode()
        await self._opened().write(lambda c: c.execute(sql, (job, said)).rowcount)


def _reread(connection: sqlite3.Connection, digest: bytes, fields: Document) -> None:
    """Fields that replace what was read before, and the names that they bring and no longer have."""
    row = connection.execute("SELECT fields FROM certificates WHERE sha256 = ?", (digest,)).fetchone()
    if row is None:
        return
    connection.execute("UPDATE certificates SET fields = ? WHERE sha256 = ?", (orjson.dumps(fields).decode(), digest))
    before, now = set(orjson.loads(row[0])["names"]), set(fields["names"])
    gone = [(reverse(name), digest) for name in before - now]
    connection.executemany("DELETE FROM names WHERE reversed = ? AND sha256 = ?", gone)
    connection.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", [(reverse(n), digest) for n in now - before])


def _read_sighting(row: Sequence[Any]) -> Document:
    thing, digest, short, port, transport, name, first_seen, last_seen = row
    address = _long(short)
    return {
        "thing": thing,
        "hash": digest.hex(),
        "ip": ip_of(address),
        "address": address,
        "port": port,
        "transport": transport,
        "name": name,
        "first_seen": first_seen,
        "last_seen": last_seen,
    }
