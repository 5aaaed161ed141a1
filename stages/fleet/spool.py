"""What an agent has found and not yet handed over: a bounded queue in a SQLite file, in the order of its making.

Results and progress stand in one queue for each coordinator, so that progress never arrives before the results that it
speaks of. Progress that follows progress takes its place: a coordinator that is away for a day costs one line.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

from stages.core.bus.base import Output, Partition, Source
from stages.core.sqlitefile import SqliteFile
from stages.fleet.messages import MAX_RESULTS

#: Bytes that wait for a coordinator, at most: some million results. At the bound the scan waits.
MAX_BYTES: Final = 512 << 20

Kind = Literal["results", "progress"]

MIGRATIONS: Final = (
    """
    CREATE TABLE spool (
        seq INTEGER PRIMARY KEY, coordinator TEXT NOT NULL, token INTEGER NOT NULL, kind TEXT NOT NULL,
        body BLOB NOT NULL);
    CREATE INDEX spool_order ON spool (coordinator, seq);
    CREATE TABLE spool_top (value INTEGER NOT NULL);
    INSERT INTO spool_top VALUES (0);
    """,
)


@dataclass(frozen=True, slots=True)
class Item:
    seq: int
    token: int
    kind: Kind
    body: bytes


class Spool:
    """One for an agent; `coordinator` is the URL of one."""

    def __init__(self, path: str | Path, *, most: int = MAX_BYTES) -> None:
        """Blocks. Raises HostError, Unavailable, UsageError."""
        self._file = SqliteFile.open(path)
        try:
            self._file.migrate("spool", MIGRATIONS)
        except BaseException:
            self._file.close()
            raise
        self._most = most
        self._changed = asyncio.Event()
        self.bytes: int = self._file.read_sync(
            lambda c: int(c.execute("SELECT coalesce(sum(length(body)), 0) FROM spool").fetchone()[0])
        )

    async def put(self, coordinator: str, token: int, kind: Kind, body: bytes) -> None:
        """Durable when this returns. Results wait while the spool is full; progress does not."""
        while kind == "results" and self.bytes and self.bytes + len(body) > self._most:
            await self._changed.wait()

        def write(connection: sqlite3.Connection) -> int:
            grown = len(body)
            last = connection.execute(
                "SELECT seq, token, kind, length(body) FROM spool WHERE coordinator = ? ORDER BY seq DESC LIMIT 1",
                (coordinator,),
            ).fetchone()
            if kind == "progress" and last is not None and last[1:3] == (token, kind):
                connection.execute("DELETE FROM spool WHERE seq = ?", (last[0],))
                grown -= last[3]
            # A number is given once: who holds an item that was replaced must not acknowledge its successor.
            top = connection.execute("SELECT value FROM spool_top").fetchone()[0] + 1
            connection.execute("UPDATE spool_top SET value = ?", (top,))
            connection.execute("INSERT INTO spool VALUES (?, ?, ?, ?, ?)", (top, coordinator, token, kind, body))
            return grown

        grown = await self._file.write(write)
        self.bytes += grown
        self._wake()

    async def first(self, coordinator: str) -> Item | None:
        """The oldest; None while there is nothing."""

        def read(connection: sqlite3.Connection) -> Item | None:
            row = connection.execute(
                "SELECT seq, token, kind, body FROM spool WHERE coordinator = ? ORDER BY seq LIMIT 1", (coordinator,)
            ).fetchone()
            return None if row is None else Item(*row)

        return await self._file.read(read)

    async def wait(self, coordinator: str) -> Item:
        """The oldest, as soon as there is one."""
        while True:
            changed = self._changed  # of before we look: what comes meanwhile counts
            if (item := await self.first(coordinator)) is not None:
                return item
            await changed.wait()

    async def emptied(self, coordinator: str) -> None:
        """Return when nothing waits for it."""
        while True:
            changed = self._changed
            if await self.first(coordinator) is None:
                return
            await changed.wait()

    async def done(self, item: Item) -> None:
        """It was handed over. An item that was replaced meanwhile leaves its successor."""
        await self._remove("seq = ?", (item.seq,))

    async def drop(self, coordinator: str, token: int) -> None:
        """What belongs to a lease that is lost: somebody else will find it."""
        await self._remove("coordinator = ? AND token = ?", (coordinator, token))

    async def tokens(self, coordinator: str) -> tuple[int, ...]:
        """Leases of which something waits."""

        def read(connection: sqlite3.Connection) -> tuple[int, ...]:
            rows = connection.execute("SELECT DISTINCT token FROM spool WHERE coordinator = ?", (coordinator,))
            return tuple(token for (token,) in rows)

        return await self._file.read(read)

    def close(self) -> None:
        self._file.close()

    async def _remove(self, where: str, values: tuple[object, ...]) -> None:
        def write(connection: sqlite3.Connection) -> int:
            size = connection.execute(f"SELECT coalesce(sum(length(body)), 0) FROM spool WHERE {where}", values)
            gone = int(size.fetchone()[0])
            connection.execute(f"DELETE FROM spool WHERE {where}", values)
            return gone

        gone = await self._file.write(write)
        self.bytes -= gone
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Spooling:
    """Where a slice's scan and grabs publish: what they find goes to the spool, and to a file of the agent's own if it
    wants one."""

    ready = True

    def __init__(
        self, spool: Spool, coordinator: str, token: int, topics: Collection[str], keep: IO[bytes] | None = None
    ) -> None:
        """`topics`: those whose records count; the scanner's records of its own scan are of one slice only."""
        self._spool, self._coordinator, self._token = spool, coordinator, token
        self._topics, self._keep = topics, keep

    async def start(self) -> None:
        """Nothing to do."""

    async def publish(self, outputs: Sequence[Output]) -> None:
        lines = [output.value for output in outputs if output.topic in self._topics]
        batch: list[bytes] = []
        size = 0
        for line in lines:
            if batch and size + len(line) + 1 > MAX_RESULTS:
                await self._put(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line) + 1
        if batch:
            await self._put(batch)

    async def _put(self, batch: list[bytes]) -> None:
        body = b"\n".join(batch)
        if self._keep is not None:
            self._keep.write(body + b"\n")
            self._keep.flush()
        await self._spool.put(self._coordinator, self._token, "results", body)

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        await self.publish(outputs)
        if source is not None and positions:
            await source.commit(positions)

    async def close(self) -> None:
        """Nothing is held."""
