"""The services that a campaign keeps in mind, and when each is to be looked at again: `cadence` over the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from stages.campaign.cadence import GONE, Known, forgotten, look
from stages.campaign.plan import Plan
from stages.campaign.sweep import Pair
from stages.core.sqlitefile import SqliteFile

#: Services handled in one transaction.
BATCH: Final = 1_000

#: Services of one refresh, at most: what is left is due at the next one.
MOST: Final = 1_000_000

_DUE: Final = (
    "SELECT ip, port FROM campaign_known WHERE campaign = ? AND vantage = ? AND looked + interval <= ?"
    " ORDER BY looked + interval LIMIT ?"
)
_BEFORE: Final = (
    "SELECT ip, port FROM campaign_known WHERE campaign = ? AND vantage = ? AND looked < ? AND (ip, port) > (?, ?)"
)
_ONE: Final = "campaign = ? AND vantage = ? AND ip = ? AND port = ?"


class Mind:
    """Of one campaign, from one vantage. All of it blocks."""

    def __init__(self, file: SqliteFile, plan: Plan, vantage: str) -> None:
        """`file`: the journal's."""
        self._file, self._of = file, (plan.name, vantage)
        self._least, self._most = plan.known_every or plan.full_every, plan.slowest

    def due(self, now: float, most: int = MOST) -> list[Pair]:
        """What is to be looked at, the latest first."""
        return self._file.read_sync(lambda c: list(c.execute(_DUE, (*self._of, now, most))))

    def choose(self, number: int, now: float, most: int = MOST) -> None:
        """What is due now is what the refresh `number` looks at."""

        def write(connection: sqlite3.Connection) -> None:
            pairs = connection.execute(_DUE, (*self._of, now, most)).fetchall()
            connection.executemany(
                f"UPDATE campaign_known SET chosen = ? WHERE {_ONE}", [(number, *self._of, *pair) for pair in pairs]
            )

        self._file.write_sync(write)

    def chosen(self, number: int) -> list[Pair]:
        """What that refresh looks at, in the order of addresses as texts."""
        query = (
            "SELECT ip, port FROM campaign_known WHERE campaign = ? AND vantage = ? AND chosen = ? ORDER BY ip, port"
        )
        return self._file.read_sync(lambda c: list(c.execute(query, (*self._of, number))))

    def count(self) -> tuple[int, int]:
        """(services that answered when they were last looked at, those that did not)."""
        query = "SELECT sum(state <> ''), sum(state = '') FROM campaign_known WHERE campaign = ? AND vantage = ?"
        there, gone = self._file.read_sync(lambda c: c.execute(query, self._of).fetchone())
        return there or 0, gone or 0

    def saw(self, seen: Sequence[tuple[Pair, str]], at: float) -> None:
        """A sweep that began at `at` saw these services, each with its state."""
        self._write(seen, at, full=False)

    def missed(self, pairs: Sequence[Pair] | None, at: float) -> None:
        """A sweep that began at `at` is complete: what it has not seen of `pairs` (None: of everything, a full sweep)
        did not answer."""
        if pairs is not None:
            self._write([(pair, GONE) for pair in pairs], at, full=False)
            return
        last: Pair = ("", 0)
        while some := self._file.read_sync(partial(_not_looked, of=(*self._of, at, *last))):
            self._write([(pair, GONE) for pair in some], at, full=True)
            last = some[-1]

    def _write(self, seen: Sequence[tuple[Pair, str]], at: float, *, full: bool) -> None:
        for some in _batches(seen):
            self._file.write_sync(partial(self._fold, seen=some, at=at, full=full))

    def _fold(self, connection: sqlite3.Connection, *, seen: Sequence[tuple[Pair, str]], at: float, full: bool) -> None:
        for (ip, port), state in seen:
            key = (*self._of, ip, port)
            row = connection.execute(f"SELECT state, interval, looked FROM campaign_known WHERE {_ONE}", key).fetchone()
            before = None if row is None else Known(*row)
            after = look(before, state, at, self._least, self._most)
            if after is None or after is before:
                continue
            if full and forgotten(after, self._most):
                connection.execute(f"DELETE FROM campaign_known WHERE {_ONE}", key)
                continue
            connection.execute(
                "INSERT INTO campaign_known VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET"
                " state = excluded.state, interval = excluded.interval, looked = excluded.looked",
                (*key, after.state, after.interval, after.looked),
            )


def _not_looked(connection: sqlite3.Connection, *, of: tuple[object, ...]) -> list[Pair]:
    """The next services, behind a pair, that were not looked at since a time: (campaign, vantage, time, ip, port)."""
    return connection.execute(f"{_BEFORE} ORDER BY ip, port LIMIT {BATCH}", of).fetchall()


def _batches(seen: Sequence[tuple[Pair, str]]) -> Iterator[Sequence[tuple[Pair, str]]]:
    return (seen[at : at + BATCH] for at in range(0, len(seen), BATCH))
