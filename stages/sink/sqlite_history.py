"""The history in SQLite (`stages.sink.history`): states and events in the store's own file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from stages.core.events import Event, EventType
from stages.sink.documents import Document, address_of, ip_of, service_id
from stages.sink.history import Target, event_document
from stages.sink.rows import as_json, long, packed, short
from stages.sink.sqlite import READ_ROWS, of_network
from stages.sink.sqlite_corpus import SqliteCorpus
from stages.sink.store import Collection, Filter

#: Columns of `states` with what a service shows, each with its name in a state's `shown`.
_THINGS: Final = ("certificate", "key", "ssh")

#: Of a state, what stands in columns of its own.
_IDENTITY: Final = frozenset({"_id", "ip", "address", "port", "transport", "name"})

_TARGET: Final = "address = ? AND port = ? AND transport = ? AND name = ?"
_KEEP: Final = (
    f"INSERT INTO states (address, port, transport, name, down_since, missing, {', '.join(_THINGS)}, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET down_since = excluded.down_since,"
    f" missing = excluded.missing, {', '.join(f'{c} = excluded.{c}' for c in _THINGS)}, body = excluded.body"
)
_STATE: Final = "SELECT address, port, transport, name, body FROM states"
_TELL: Final = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_EVENT: Final = "SELECT id, type, ts, scan, vantage, address, port, transport, name, origin, details FROM events"

#: What a file says that an older Longline made: no state was ever kept in it.
_OLDER: Final = ("no such table: states", "no such table: events")


class SqliteHistory(SqliteCorpus):
    """See `stages.sink.history.History`."""

    def services(self) -> AsyncIterator[Document]:
        return self.find(Collection.SERVICES, Filter())

    async def states_of(self, services: Sequence[Mapping[str, Any]]) -> dict[str, Document]:
        sql = f"{_STATE} WHERE {_TARGET}"
        keys = [(short(s["address"]), s["port"], s["transport"], s.get("name", "")) for s in services]

        def work(connection: sqlite3.Connection) -> dict[str, Document]:
            found = {}
            try:
                for key in keys:
                    row = connection.execute(sql, key).fetchone()
                    if row is not None:
                        state = _read_state(row)
                        found[state["_id"]] = state
            except sqlite3.OperationalError as error:
                if not str(error).startswith(_OLDER):
                    raise
            return found

        return await self._reading(work)

    async def keep(self, states: Sequence[Document]) -> None:
        rows = [_state_row(state) for state in states]
        await self._opened().write(lambda c: c.executemany(_KEEP, rows).rowcount)

    async def tell(self, events: Sequence[Event]) -> None:
        rows = [_event_row(event_document(event)) for event in events]
        await self._opened().write(lambda c: c.executemany(_TELL, rows).rowcount)

    async def lost(self, hashes: Sequence[str]) -> set[str]:
        queries = [f"SELECT 1 FROM states WHERE {column} = ? AND missing = 1 LIMIT 1" for column in _THINGS]

        def work(connection: sqlite3.Connection) -> set[str]:
            return {
                digest
                for digest in hashes
                if any(connection.execute(sql, (bytes.fromhex(digest),)).fetchone() for sql in queries)
            }

        return await self._reading(work)

    async def showing(self, digest: str, most: int) -> list[Document]:
        each = " UNION ".join(f"{_STATE} WHERE {column} = ?" for column in _THINGS)
        bound = (*[bytes.fromhex(digest)] * len(_THINGS), most)
        return await self._reading(lambda c: [_read_state(row) for row in c.execute(f"{each} LIMIT ?", bound)])

    async def forget_gone(self, targets: Sequence[Target]) -> int:
        keys = [(short(address_of(ip)[1]), port, transport, name) for ip, port, transport, name in targets]
        there = f"SELECT 1 FROM services WHERE {_TARGET}"
        gone = await self._reading(lambda c: [key for key in keys if c.execute(there, key).fetchone() is None])

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA secure_delete = ON")
            for table in ("states", "events"):
                connection.executemany(f"DELETE FROM {table} WHERE {_TARGET}", gone)
            connection.executemany("DELETE FROM events WHERE origin = ?", [key[:1] for key in gone])

        if gone:
            await self._opened().write(work)
        return len(gone)

    def down(self, where: Filter) -> AsyncIterator[Document]:
        conditions = [("down_since IS NOT NULL", ()), *_of_target(where)]
        return self._each(_STATE, conditions, "down_since, address, port, transport, name", where.limit, _read_state)

    def events(self, where: Filter, kind: EventType | None = None, *, ended: bool = False) -> AsyncIterator[Document]:
        conditions: list[tuple[str, tuple[Any, ...]]] = [*_of_target(where)]
        if where.scan is not None:
            conditions.append(("scan = ?", (where.scan,)))
        if where.since is not None:
            conditions.append(("ts >= ?", (where.since,)))
        if kind is not None:
            conditions.append(("type = ?", (str(kind),)))
        if ended:
            conditions.append(("json_extract(details, '$.until') IS NOT NULL", ()))
        return self._each(_EVENT, conditions, "ts, id", where.limit, _read_event)

    async def _each(
        self,
        select: str,
        conditions: Sequence[tuple[str, tuple[Any, ...]]],
        order: str,
        limit: int | None,
        read: Callable[[Sequence[Any]], Document],
    ) -> AsyncIterator[Document]:
        """Rows by a cursor; none where an older Longline made the file."""
        sql = select
        if conditions:
            sql += " WHERE " + " AND ".join(text for text, _ in conditions)
        sql += f" ORDER BY {order} LIMIT ?"
        bound = [value for _, values in conditions for value in values]
        bound.append(-1 if limit is None else limit)
        connection = await asyncio.to_thread(self._connect)
        try:
            cursor = await asyncio.to_thread(connection.execute, sql, bound)
            while rows := await asyncio.to_thread(cursor.fetchmany, READ_ROWS):
                for row in rows:
                    yield read(row)
        except sqlite3.Error as error:
            if str(error).startswith(_OLDER) and await self._has_services(connection):
                return
            raise self._named(error) from error
        finally:
            connection.close()

    async def _has_services(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is a store at all. Raises UsageError."""
        try:
            await asyncio.to_thread(connection.execute, "SELECT 1 FROM services LIMIT 1")
        except sqlite3.Error as error:
            raise self._named(error) from error
        return True


def _of_target(where: Filter) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if where.network is not None:
        yield of_network(where.network)
    if where.port is not None:
        yield "port = ?", (where.port,)
    if where.name is not None:
        yield "name = ?", (where.name,)


def _state_row(state: Document) -> tuple[Any, ...]:
    shown = state["shown"]
    things = [bytes.fromhex(shown[kind]["hash"]) if kind in shown else None for kind in _THINGS]
    body = as_json({key: value for key, value in state.items() if key not in _IDENTITY})
    return (
        short(state["address"]),
        state["port"],
        state["transport"],
        state.get("name", ""),
        state.get("down_since"),
        int(state.get("missing", False)),
        *things,
        body,
    )


def _target(address: bytes, port: int, transport: str, name: str) -> Document:
    target = {"ip": ip_of(address), "address": address, "port": port, "transport": transport}
    return target | ({"name": name} if name else {})


def _read_state(row: Sequence[Any]) -> Document:
    place, port, transport, name, body = row
    target = _target(long(place), port, transport, name)
    return {"_id": service_id(target["ip"], port, transport, name), **target, **orjson.loads(body)}


def _event_row(event: Document) -> tuple[Any, ...]:
    origin = event.get("origin")
    return (
        packed(event["_id"]),
        event["type"],
        event["ts"],
        event["scan"],
        event["vantage"],
        short(event["address"]),
        event["port"],
        event["transport"],
        event.get("name", ""),
        None if origin is None else short(origin),
        as_json(event["details"]),
    )


def _read_event(row: Sequence[Any]) -> Document:
    number, kind, ts, scan, vantage, place, port, transport, name, origin, details = row
    event = {
        "_id": number.hex() if isinstance(number, bytes) else number,
        "type": kind,
        "ts": ts,
        "scan": scan,
        "vantage": vantage,
        **_target(long(place), port, transport, name),
        "details": orjson.loads(details),
    }
    return event if origin is None else {**event, "origin": long(origin)}
