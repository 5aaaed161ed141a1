"""Questions over whole scans in SQLite (`stages.sink.survey`). The index of observations is by scan, address and port
already; what does not fit into memory is sorted by SQLite in a file of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import orjson

from stages.core.outcome import Outcome
from stages.sink.documents import ANSWERED_UDP, BEFORE, ESTABLISHED, Observation, ip_of
from stages.sink.rows import long, short
from stages.sink.sqlite import EACH_SCAN, IN_EACH_SCAN, SqliteStore, of_network
from stages.sink.survey import DAY, By, Tally, Trace, parts

#: Rows fetched at once, some megabyte: each time costs two changes of thread, and a whole scan is read.
READ_ROWS: Final = 2_000

_OUTCOME: Final = "json_extract(body, '$.outcome')"
_PHASE: Final = "json_extract(body, '$.phase')"


def _in(column: str, words: frozenset[Any]) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in sorted(words))})"


#: `documents.answered`, in SQL.
_ANSWERED: Final = (
    "CASE WHEN kind = 'hit' THEN json_extract(body, '$.success') = 1 WHEN transport = 'tcp' THEN "
    f"{_in(_OUTCOME, ESTABLISHED)} OR ({_OUTCOME} = '{Outcome.TIMEOUT}' AND NOT {_in(_PHASE, BEFORE)})"
    f" ELSE {_in(_OUTCOME, ANSWERED_UDP)} END"
)

#: What is counted -> its value, where it comes from, and what must hold.
_VALUES: Final[dict[By, tuple[str, str, str]]] = {
    By.PORT: ("port", "observations", "1"),
    By.ADDRESS: ("address", "observations", "1"),
    By.VERSION: (
        "json_extract(body, '$.version')",
        "observations",
        "kind = 'tls' AND json_extract(body, '$.version') IS NOT NULL",
    ),
    By.ISSUER: (
        "json_extract(fields, '$.issuer')",
        "observations LEFT JOIN certificates ON sha256 = unhexed(json_extract(body, '$.chain[0]'))",
        "kind = 'tls' AND json_extract(body, '$.chain[0]') IS NOT NULL",
    ),
}


def _tallies(by: By, scans: Sequence[str], days: bool, since: int | None) -> tuple[str, list[Any]]:
    value, table, condition = _VALUES[by]
    group = f"ts - ts % {DAY}" if days else "scan"
    order = "length(value), value" if by is By.ADDRESS else "value"
    bound: list[Any] = list(scans)
    later = ""
    if since is not None:
        later = " AND ts >= ?"
        bound.append(since)
    sql = (
        f'SELECT value, "group", count(*) FROM (SELECT DISTINCT {value} AS value, {group} AS "group", address, port,'
        f" transport FROM {table} WHERE scan IN ({', '.join('?' * len(scans))}){later} AND {condition}"
        f' AND ({_ANSWERED})) GROUP BY value, "group" ORDER BY {order}, "group"'
    )
    return sql, bound


def _unhexed(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:  # what a record calls a hash may be any text
        return None


class SqliteSurvey(SqliteStore):
    """See `stages.sink.survey.Survey`."""

    async def _rows(self, queries: Sequence[tuple[str, Sequence[Any]]]) -> AsyncIterator[Sequence[Any]]:
        """Rows of one query after the other, all of one snapshot."""
        connection = await asyncio.to_thread(self._connect)
        try:
            connection.create_function("unhexed", 1, _unhexed, deterministic=True)
            connection.execute("BEGIN")
            for sql, bound in queries:
                cursor = await asyncio.to_thread(connection.execute, sql, bound)
                while rows := await asyncio.to_thread(cursor.fetchmany, READ_ROWS):
                    for row in rows:
                        yield row
        except sqlite3.Error as error:
            raise self._named(error) from error
        finally:
            connection.close()

    async def in_order(
        self, scan: str, *, network: tuple[bytes, bytes] | None = None, port: int | None = None
    ) -> AsyncIterator[Observation]:
        more, wanted = ("", ()) if port is None else (" AND port = ?", (port,))
        columns = "id, kind, scan, ts, address, port, transport, name, body"
        queries = []
        for first, last in parts(network):
            low, high = short(first), short(last)
            sql = (
                f"SELECT {columns} FROM observations WHERE scan = ? AND address BETWEEN ? AND ?"
                f" AND length(address) = ?{more} ORDER BY address, port, id"
            )
            queries.append((sql, (scan, low, high, len(low), *wanted)))
        async for record_id, kind, _, ts, packed, at, transport, name, body in self._rows(queries):
            address = long(packed)
            text = record_id.hex() if isinstance(record_id, bytes) else record_id
            yield Observation(text, kind, scan, ts, ip_of(address), address, at, transport, name, orjson.loads(body))

    async def tallies(
        self, by: By, scans: Sequence[str], *, days: bool = False, since: int | None = None
    ) -> AsyncIterator[Tally]:
        async for value, group, count in self._rows([_tallies(by, scans, days, since)]):
            yield Tally(long(value) if by is By.ADDRESS else value, group, count)

    async def scans_seen(self) -> list[str]:
        return [row[0] async for row in self._rows([(EACH_SCAN, ())])]

    async def count_hits(self, scan: str) -> int:
        sql = "SELECT count(*) FROM observations WHERE scan = ? AND kind = 'hit'"
        [count] = [row[0] async for row in self._rows([(sql, (scan,))])]
        return int(count)

    async def traces(self, network: tuple[bytes, bytes]) -> list[Trace]:
        condition, bound = of_network(network)
        sql = (
            "SELECT scan, kind, coalesce(json_extract(body, '$.vantage'), '') AS vantage,"
            " coalesce(json_extract(body, '$.source.ip'), '') AS source, count(*), min(ts), max(ts) FROM observations"
            f" WHERE {IN_EACH_SCAN} AND {condition} GROUP BY scan, kind, vantage, source"
            " ORDER BY scan, kind, vantage, source"
        )
        return [Trace(*row) async for row in self._rows([(sql, bound)])]
