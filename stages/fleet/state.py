"""The coordinator's state in a SQLite file: the ledger's things, and what operators ask of it from other processes.

Each answer to an agent is given after what it promises is committed. Commands of the operator (`longline campaign
submit`, `longline fleet revoke`) only write here; the coordinator looks every second. So a coordinator that was killed
at any point goes on where it was, and an operator needs no way into the running one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from stages.core.errors import HostError, Unavailable, UsageError
from stages.core.sqlitefile import SqliteFile
from stages.fleet.things import Change

#: Tables of things with a key, each thing as JSON.
THINGS: Final = ("jobs", "parts", "leases", "agents", "done", "trace", "meta")

MIGRATIONS: Final = (
    "".join(f"CREATE TABLE fleet_{name} (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;" for name in THINGS)
    + """
    CREATE TABLE fleet_asked (id INTEGER PRIMARY KEY, what TEXT NOT NULL, body BLOB NOT NULL);
    CREATE TABLE fleet_tokens (hash TEXT PRIMARY KEY, alias TEXT NOT NULL, ends REAL NOT NULL);
    CREATE TABLE fleet_certificates (
        serial TEXT PRIMARY KEY, alias TEXT NOT NULL, issued REAL NOT NULL, ends REAL NOT NULL, revoked REAL);
    """,
    """
    CREATE TABLE fleet_owner (id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL);
    CREATE TABLE fleet_heard (
        serial TEXT NOT NULL, lane TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (serial, lane)) WITHOUT ROWID;
    """,
)


class State:
    """One handle on the file; `close` it."""

    def __init__(self, path: str | Path, *, make: bool = True) -> None:
        """Blocks. Raises UsageError where there is no file and none is to be made; HostError, Unavailable."""
        if not make and not Path(path).is_file():
            raise UsageError("--state", str(path), "no such file: longline fleet init makes it")
        self._owner = ""
        self.file = SqliteFile.open(path)
        try:
            self.file.migrate("fleet", MIGRATIONS)
        except BaseException:
            self.file.close()
            raise

    def close(self) -> None:
        self.file.close()

    # --- whose it is

    def own(self, token: str, alive: Callable[[str], bool]) -> str | None:
        """From now on `keep` and `fresh` are `token`'s alone. Blocks. Returns whose the file is instead, if it is
        another's that is alive."""

        def write(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("SELECT token FROM fleet_owner").fetchone()
            if row is not None and row[0] != token and alive(row[0]):
                return str(row[0])
            connection.execute("INSERT OR REPLACE INTO fleet_owner VALUES (1, ?)", (token,))
            return None

        holder = self.file.write_sync(write)
        if holder is None:
            self._owner = token
        return holder

    def _fence(self, connection: sqlite3.Connection) -> None:
        if self._owner and connection.execute("SELECT token FROM fleet_owner").fetchone() != (self._owner,):
            raise HostError("another coordinator has taken the state over")

    async def fresh(self, moments: Sequence[tuple[str, str, int]]) -> list[bool]:
        """(serial, lane, moment) of messages: which of them are later than all that were heard of their kind before;
        these are heard now. Raises HostError, Unavailable."""

        def write(connection: sqlite3.Connection) -> list[bool]:
            self._fence(connection)
            said = (
                "INSERT INTO fleet_heard VALUES (?, ?, ?) ON CONFLICT (serial, lane)"
                " DO UPDATE SET at = excluded.at WHERE excluded.at > fleet_heard.at RETURNING 1"
            )
            return [connection.execute(said, moment).fetchone() is not None for moment in moments]

        return await self.file.write(write)

    # --- the ledger's

    async def keep(self, changes: Sequence[Change], taken: Iterable[int] = ()) -> None:
        """In one transaction: the changes, and that the requests `taken` are dealt with. Returns after the commit.

        Raises HostError when it cannot be done: the ledger in memory is ahead of the file then, and its process has to
        begin anew."""
        done = list(taken)
        if not changes and not done:
            return
        bodies = [(c.table, c.key, None if c.body is None else orjson.dumps(c.body)) for c in changes]

        def write(connection: sqlite3.Connection) -> None:
            self._fence(connection)
            for table, key, body in bodies:
                if body is None:
                    connection.execute(f"DELETE FROM fleet_{table} WHERE key = ?", (key,))
                else:
                    connection.execute(f"INSERT OR REPLACE INTO fleet_{table} VALUES (?, ?)", (key, body))
            connection.executemany("DELETE FROM fleet_asked WHERE id = ?", [(number,) for number in done])

        try:
            await self.file.write(write)
        except Unavailable as error:
            raise HostError(f"the coordinator's state cannot be kept: {error}") from None

    def things(self, *tables: str) -> list[Change]:
        """All that is kept in these tables. Blocks."""

        def read(connection: sqlite3.Connection) -> list[Change]:
            found = []
            for table in tables:
                for key, body in connection.execute(f"SELECT key, body FROM fleet_{table}"):
                    found.append(Change(table, key, orjson.loads(body)))  # type: ignore[arg-type]
            return found

        return self.file.read_sync(read)

    # --- asked by operators

    def ask(self, what: str, body: dict[str, Any]) -> None:
        """Blocks."""
        self.file.write_sync(
            lambda c: c.execute("INSERT INTO fleet_asked (what, body) VALUES (?, ?)", (what, orjson.dumps(body)))
        )

    def waiting(self) -> list[tuple[str, dict[str, Any]]]:
        """(what, body) of what was asked and is not dealt with yet. Blocks."""
        rows = self.file.read_sync(lambda c: c.execute("SELECT what, body FROM fleet_asked ORDER BY id").fetchall())
        return [(what, orjson.loads(body)) for what, body in rows]

    async def asked(self) -> list[tuple[int, str, dict[str, Any]]]:
        """(id, what, body) of what is to be done, oldest first."""

        def read(connection: sqlite3.Connection) -> list[tuple[int, str, dict[str, Any]]]:
            rows = connection.execute("SELECT id, what, body FROM fleet_asked ORDER BY id")
            return [(number, what, orjson.loads(body)) for number, what, body in rows]

        return await self.file.read(read)

    # --- who may come

    def add_token(self, hashed: str, alias: str, ends: float) -> None:
        """A one-time token, of which only the hash is kept. Blocks. Raises UsageError: the alias is taken."""

        def write(connection: sqlite3.Connection) -> None:
            taken = "SELECT 1 FROM fleet_certificates WHERE alias = ? AND revoked IS NULL AND ends > ?"
            if connection.execute(taken, (alias, ends)).fetchone():
                raise UsageError("ALIAS", alias, "is enrolled; revoke it first, or choose another")
            connection.execute("DELETE FROM fleet_tokens WHERE alias = ?", (alias,))
            connection.execute("INSERT INTO fleet_tokens VALUES (?, ?, ?)", (hashed, alias, ends))

        self.file.write_sync(write)

    async def spend_token(self, hashed: str, now: float, serial: str, ends: float) -> str | None:
        """The alias of a token that is good, which it is no longer; the certificate `serial` is that agent's."""

        def write(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("SELECT alias, ends FROM fleet_tokens WHERE hash = ?", (hashed,)).fetchone()
            if row is None or row[1] < now:
                return None
            connection.execute("DELETE FROM fleet_tokens WHERE hash = ?", (hashed,))
            connection.execute("INSERT INTO fleet_certificates VALUES (?, ?, ?, ?, NULL)", (serial, row[0], now, ends))
            return str(row[0])

        return await self.file.write(write)

    async def alias_of(self, hashed: str, now: float) -> str | None:
        """Whose token it is, unspent; None if it is none."""

        def read(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(
                "SELECT alias FROM fleet_tokens WHERE hash = ? AND ends >= ?", (hashed, now)
            ).fetchone()
            return None if row is None else str(row[0])

        return await self.file.read(read)

    def revoke(self, alias: str, now: float) -> int:
        """Its certificates and tokens are good no more. Blocks. Returns how many certificates that were."""

        def write(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM fleet_tokens WHERE alias = ?", (alias,))
            said = "UPDATE fleet_certificates SET revoked = ? WHERE alias = ? AND revoked IS NULL"
            return connection.execute(said, (now, alias)).rowcount

        return self.file.write_sync(write)

    async def enrolled(self, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """serial -> alias of the certificates that may come, and of those that might, had their time not ended."""

        def read(connection: sqlite3.Connection) -> tuple[dict[str, str], dict[str, str]]:
            rows = connection.execute("SELECT serial, alias, ends FROM fleet_certificates WHERE revoked IS NULL")
            good: dict[str, str] = {}
            ended: dict[str, str] = {}
            for serial, alias, ends in rows:
                (good if ends > now else ended)[serial] = alias
            return good, ended

        return await self.file.read(read)

    def certificates(self) -> list[dict[str, Any]]:
        """All that were given out, oldest first. Blocks."""

        def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            rows = connection.execute(
                "SELECT alias, serial, issued, ends, revoked FROM fleet_certificates ORDER BY issued"
            )
            return [dict(zip(("alias", "serial", "issued", "ends", "revoked"), row, strict=True)) for row in rows]

        return self.file.read_sync(read)
