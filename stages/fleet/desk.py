"""Where the form's invitations, sessions and requests are kept: one SQLite file, readable by its owner only.

Of an invitation and of a session only the hash is kept. A request stands here until somebody decides; nothing of it
reaches the opt-out list by itself.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

import orjson

from stages.core.errors import HostError, UsageError
from stages.core.sqlitefile import SqliteFile
from stages.fleet.asking import MAX_REQUESTS, MAX_WAITING, Asked
from stages.fleet.optout_pages import Filed

#: Seconds that an invitation may be used.
INVITE_SECONDS: Final = 7 * 86_400.0

#: Requests that a page shows: the newest.
MAX_SHOWN: Final = 100

MIGRATIONS: Final = (
    """
    CREATE TABLE notice_invites (hash TEXT PRIMARY KEY, account TEXT NOT NULL, ends REAL NOT NULL);
    CREATE TABLE notice_sessions (hash TEXT PRIMARY KEY, account TEXT NOT NULL, ends REAL NOT NULL);
    CREATE TABLE notice_requests (
        number INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, at REAL NOT NULL, body BLOB NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting', decided REAL, said TEXT NOT NULL DEFAULT '');
    CREATE INDEX notice_requests_of ON notice_requests (account, number)
    """,
)

_COLUMNS: Final = "number, account, at, body, state, decided, said"


class SqliteDesk:
    """`notice_site.Desk`, and what the operator does with it. `close` it."""

    def __init__(self, path: str | Path, *, make: bool = True) -> None:
        """Blocks. Raises UsageError where there is no file and none is to be made; HostError, Unavailable."""
        if not make and not Path(path).is_file():
            raise UsageError("--requests", str(path), "no such file: longline notice invite makes it")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise HostError(f"{path} cannot be written: {error.strerror}") from None
        self._file = SqliteFile.open(path)
        try:
            self._file.migrate("notice", MIGRATIONS)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def invite(self, hashed: str, account: str, now: float) -> None:
        """Let somebody in, once. An older invitation of the account is good no more."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM notice_invites WHERE account = ? OR ends < ?", (account, now))
            connection.execute("INSERT INTO notice_invites VALUES (?, ?, ?)", (hashed, account, now + INVITE_SECONDS))

        self._file.write_sync(write)

    # --- the site's

    def invited(self, hashed: str, now: float) -> str | None:
        return self._named("SELECT account FROM notice_invites WHERE hash = ? AND ends >= ?", (hashed, now))

    def sign_in(self, hashed: str, session: str, now: float, ends: float) -> str | None:
        def write(connection: sqlite3.Connection) -> str | None:
            found = "SELECT account FROM notice_invites WHERE hash = ? AND ends >= ?"
            row = connection.execute(found, (hashed, now)).fetchone()
            if row is None:
                return None
            connection.execute("DELETE FROM notice_invites WHERE hash = ?", (hashed,))
            connection.execute("DELETE FROM notice_sessions WHERE ends < ?", (now,))
            connection.execute("INSERT INTO notice_sessions VALUES (?, ?, ?)", (session, row[0], ends))
            return str(row[0])

        return self._file.write_sync(write)

    def session(self, hashed: str, now: float) -> str | None:
        return self._named("SELECT account FROM notice_sessions WHERE hash = ? AND ends >= ?", (hashed, now))

    def sign_out(self, hashed: str) -> None:
        self._file.write_sync(lambda c: c.execute("DELETE FROM notice_sessions WHERE hash = ?", (hashed,)))

    def file(self, account: str, asked: Asked, now: float) -> int | None:
        body = {
            "networks": asked.networks, "wide": asked.wide, "reason": asked.reason, "contact": asked.contact
        }  # fmt: skip

        def write(connection: sqlite3.Connection) -> int | None:
            counted = (
                "SELECT count(*), count(*) FILTER (WHERE state = 'waiting') FROM notice_requests WHERE account = ?"
            )
            made, waiting = connection.execute(counted, (account,)).fetchone()
            if made >= MAX_REQUESTS or waiting >= MAX_WAITING:
                return None
            put = "INSERT INTO notice_requests (account, at, body) VALUES (?, ?, ?)"
            return connection.execute(put, (account, now, orjson.dumps(body))).lastrowid

        return self._file.write_sync(write)

    def of(self, account: str) -> list[Filed]:
        some = f"SELECT {_COLUMNS} FROM notice_requests WHERE account = ? ORDER BY number DESC LIMIT {MAX_SHOWN}"
        return self._file.read_sync(lambda c: [_filed(row) for row in c.execute(some, (account,))])

    # --- the operator's

    def all(self) -> list[Filed]:
        """Every request, oldest first."""
        every = f"SELECT {_COLUMNS} FROM notice_requests ORDER BY number"
        return self._file.read_sync(lambda c: [_filed(row) for row in c.execute(every)])

    def request(self, number: int) -> Filed:
        """One of them. Raises UsageError."""
        one = f"SELECT {_COLUMNS} FROM notice_requests WHERE number = ?"
        row = self._file.read_sync(lambda c: c.execute(one, (number,)).fetchone())
        if row is None:
            raise UsageError("N", number, "there is no such request")
        return _filed(row)

    def decide(self, number: int, state: str, said: str, now: float) -> bool:
        """Whether it was waiting, and is `state` now."""
        decided = "UPDATE notice_requests SET state = ?, said = ?, decided = ? WHERE number = ? AND state = 'waiting'"
        return self._file.write_sync(lambda c: c.execute(decided, (state, said, now, number)).rowcount) == 1

    def _named(self, query: str, values: tuple[str, float]) -> str | None:
        row = self._file.read_sync(lambda c: c.execute(query, values).fetchone())
        return None if row is None else str(row[0])


def _filed(row: tuple[Any, ...]) -> Filed:
    number, account, at, raw, state, decided, said = row
    body = orjson.loads(raw)
    return Filed(
        number, account, at, tuple(body["networks"]), tuple(body["wide"]), body["reason"], body["contact"], state,
        decided, said,
    )  # fmt: skip
