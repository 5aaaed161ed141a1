"""What campaigns have done, in a SQLite file: campaigns, sweeps, their turns, what operators ask.

An operator's command only writes here; a conductor looks every second. A conductor holds a lock on each campaign that
it runs (a file beside, flock(2)), which ends with its process, however it ends.
"""

from __future__ import annotations

import fcntl
import math
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from stages.campaign.plan import Campaign
from stages.campaign.schedule import Lane, Past
from stages.core.errors import HostError, UsageError
from stages.core.files import PRIVATE
from stages.core.sqlitefile import SqliteFile

MIGRATIONS: Final = (
    """
    CREATE TABLE campaign_campaigns (
        name TEXT PRIMARY KEY, file TEXT NOT NULL, text TEXT NOT NULL, begun REAL NOT NULL, seen REAL NOT NULL,
        paused REAL, ordered INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE campaign_sweeps (
        campaign TEXT NOT NULL, kind TEXT NOT NULL, vantage TEXT NOT NULL, number INTEGER NOT NULL,
        due REAL NOT NULL, missed INTEGER NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (campaign, kind, vantage, number)) WITHOUT ROWID;
    CREATE TABLE campaign_turns (
        id INTEGER PRIMARY KEY, campaign TEXT NOT NULL, kind TEXT NOT NULL, vantage TEXT NOT NULL,
        number INTEGER NOT NULL, began REAL NOT NULL, ended REAL, how TEXT NOT NULL);
    CREATE INDEX campaign_turns_lane ON campaign_turns (campaign, kind, vantage, id);
    CREATE TABLE campaign_known (
        campaign TEXT NOT NULL, vantage TEXT NOT NULL, ip TEXT NOT NULL, port INTEGER NOT NULL,
        state TEXT NOT NULL, interval REAL NOT NULL, looked REAL NOT NULL,
        chosen INTEGER NOT NULL,
        PRIMARY KEY (campaign, vantage, ip, port)) WITHOUT ROWID;
    CREATE INDEX campaign_known_next ON campaign_known (campaign, vantage, looked + interval)
    """,
)

#: States of a sweep: it runs or waits to go on; its probes are done, and what follows is not.
OPEN: Final = ("open", "swept")
#: It is over; it was stopped; the campaign became another one, so that a sweep of what it is now is due.
OVER: Final = ("complete", "given up", "changed")

#: Rows of turns and sweeps that a look at the newest reads.
NEWEST: Final = 50

_LANE: Final = "campaign = ? AND kind = ? AND vantage = ?"


@dataclass(frozen=True, slots=True)
class SweepRow:
    """A sweep as it stands in the journal. Times are seconds since the epoch."""

    lane: Lane
    number: int
    due: float
    missed: int
    state: str
    body: dict[str, Any]  #: report, controls, estimate, why: as far as they are known


@dataclass(frozen=True, slots=True)
class CampaignRow:
    name: str
    file: str
    text: str
    begun: float
    seen: float  #: when a conductor was last seen
    paused: float | None  #: since when
    ordered: bool = False  #: an order to stop stood against it when the conductor was last seen


@dataclass(frozen=True, slots=True)
class TurnRow:
    lane: Lane
    number: int
    began: float
    ended: float | None
    how: str


@contextmanager
def alone(file: str, problem: str) -> Iterator[None]:
    """This process holds the lock `file` while the block lasts. Raises HostError, with `problem`, if another does."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise HostError(f"{file}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostError(problem) from None
        yield
    finally:
        os.close(descriptor)


class Journal:
    """One handle on the file; `close` it. All of it blocks; each change is durable when its call returns."""

    def __init__(self, path: str | Path, *, make: bool = True) -> None:
        """Raises UsageError where there is no file and none is to be made; HostError, Unavailable."""
        if not make and not Path(path).is_file():
            raise UsageError("--journal", str(path), "no such file: longline campaign run makes it")
        self.path = Path(path)
        self.file = SqliteFile.open(path)
        try:
            self.file.migrate("campaign", MIGRATIONS)
        except BaseException:
            self.file.close()
            raise

    def close(self) -> None:
        self.file.close()

    # --- campaigns

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Nobody else runs this campaign while the block lasts. Raises HostError if somebody does."""
        with alone(f"{self.path}.{name}.lock", f"campaign {name} is run by another process already"):
            yield

    def register(self, campaign: Campaign, now: float) -> CampaignRow:
        """The campaign as it is from now on. Its due times are counted from its `start`, or from when it was first
        registered. What a conductor that was killed left running ended when that was last seen."""
        plan = campaign.plan
        start = None if plan.start is None else plan.start.timestamp()

        def write(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "SELECT begun, seen FROM campaign_campaigns WHERE name = ?", (plan.name,)
            ).fetchone()
            begun = start if start is not None else now if row is None else row[0]
            connection.execute(
                "INSERT INTO campaign_campaigns VALUES (?, ?, ?, ?, ?, NULL, 0) ON CONFLICT (name) DO UPDATE SET"
                " file = excluded.file, text = excluded.text, begun = excluded.begun, seen = excluded.seen",
                (plan.name, campaign.file, campaign.text, begun, now),
            )
            if row is not None:
                connection.execute(
                    "UPDATE campaign_turns SET ended = max(began, ?), how = 'killed'"
                    " WHERE campaign = ? AND ended IS NULL",
                    (row[1], plan.name),
                )

        self.file.write_sync(write)
        return self.campaign(plan.name)

    def seen(self, names: Sequence[str], now: float, ordered: Collection[str] = ()) -> dict[str, bool]:
        """A conductor's sign of life; `ordered`: against which of these campaigns an order stands. Returns which are
        paused."""

        def write(connection: sqlite3.Connection) -> dict[str, bool]:
            slots = ", ".join("?" * len(names))
            for name in names:
                values = (now, name in ordered, name)
                connection.execute("UPDATE campaign_campaigns SET seen = ?, ordered = ? WHERE name = ?", values)
            rows = connection.execute(f"SELECT name, paused FROM campaign_campaigns WHERE name IN ({slots})", names)
            return {name: paused is not None for name, paused in rows}

        return self.file.write_sync(write)

    def paused(self, names: Sequence[str]) -> dict[str, bool]:
        """Which of these campaigns are."""
        return {row.name: row.paused is not None for row in self.campaigns() if row.name in names}

    def pause(self, name: str, now: float | None) -> bool:
        """Pause a campaign, or resume it (None). Returns whether that changed anything. Raises UsageError: there is
        none of this name."""

        def write(connection: sqlite3.Connection) -> bool:
            row = connection.execute("SELECT paused FROM campaign_campaigns WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise UsageError("NAME", name, "no such campaign in the journal")
            if (row[0] is None) == (now is None):
                return False
            connection.execute("UPDATE campaign_campaigns SET paused = ? WHERE name = ?", (now, name))
            return True

        return self.file.write_sync(write)

    def campaigns(self) -> list[CampaignRow]:
        """All that were ever run, by name."""
        rows = self.file.read_sync(
            lambda c: c.execute(
                "SELECT name, file, text, begun, seen, paused, ordered FROM campaign_campaigns ORDER BY name"
            ).fetchall()
        )
        return [CampaignRow(*(*row[:-1], bool(row[-1]))) for row in rows]

    def forget(self, within: Callable[[str], bool], *, dry: bool = False) -> int:
        """Keep in mind no service at these addresses any more; `dry`: only count. Returns how many that were."""

        def write(connection: sqlite3.Connection) -> int:
            keys = connection.execute("SELECT campaign, vantage, ip, port FROM campaign_known")
            gone = [key for key in keys if within(key[2])]
            if not dry:
                one = "DELETE FROM campaign_known WHERE campaign = ? AND vantage = ? AND ip = ? AND port = ?"
                connection.executemany(one, gone)
            return len(gone)

        return self.file.write_sync(write)

    def campaign(self, name: str) -> CampaignRow:
        return next(row for row in self.campaigns() if row.name == name)

    # --- sweeps

    def begin(self, lane: Lane, number: int, due: float, missed: int, now: float) -> None:
        """A turn of a sweep begins; with the first one the sweep."""

        def write(connection: sqlite3.Connection) -> None:
            busy = connection.execute(
                f"SELECT 1 FROM campaign_turns WHERE {_LANE} AND ended IS NULL", _key(lane)
            ).fetchone()
            if busy:
                raise RuntimeError(f"two sweeps at once of {lane}")
            connection.execute(
                "INSERT OR IGNORE INTO campaign_sweeps VALUES (?, ?, ?, ?, ?, ?, 'open', ?)",
                (*_key(lane), number, due, missed, b"{}"),
            )
            connection.execute(
                "INSERT INTO campaign_turns (campaign, kind, vantage, number, began, how) VALUES (?, ?, ?, ?, ?, '')",
                (*_key(lane), number, now),
            )

        self.file.write_sync(write)

    def skip(self, lane: Lane, number: int, due: float) -> None:
        """A sweep that has nothing to do is over."""
        self.file.write_sync(
            lambda c: c.execute(
                "INSERT INTO campaign_sweeps VALUES (?, ?, ?, ?, ?, 0, 'complete', ?)",
                (*_key(lane), number, due, b"{}"),
            )
        )

    def note(self, lane: Lane, number: int, body: dict[str, Any], *, state: str | None = None) -> None:
        """What is known of a sweep now, and its state, if that is another one."""
        data = orjson.dumps(body)
        self.file.write_sync(
            lambda c: c.execute(
                f"UPDATE campaign_sweeps SET body = ?, state = coalesce(?, state) WHERE {_LANE} AND number = ?",
                (data, state, *_key(lane), number),
            )
        )

    def end(self, lane: Lane, how: str, now: float) -> None:
        """The turn is over: complete, or why it ended before."""
        self.file.write_sync(
            lambda c: c.execute(
                f"UPDATE campaign_turns SET ended = max(began, ?), how = ? WHERE {_LANE} AND ended IS NULL",
                (now, how, *_key(lane)),
            )
        )

    def sweep(self, lane: Lane, number: int) -> SweepRow:
        rows = self._sweeps(f"WHERE {_LANE} AND number = ?", (*_key(lane), number))
        return rows[0]

    def open(self, name: str) -> list[SweepRow]:
        """Sweeps of a campaign that have not come to their end."""
        return self._sweeps("WHERE campaign = ? AND state IN ('open', 'swept')", (name,))

    def last_full(self, name: str) -> SweepRow | None:
        """The newest full sweep that is complete."""
        where = "WHERE campaign = ? AND kind = 'full' AND state = 'complete' ORDER BY due DESC LIMIT 1"
        return next(iter(self._sweeps(where, (name,))), None)

    def newest(self, name: str, most: int = NEWEST) -> list[SweepRow]:
        """Sweeps of a campaign, the newest first."""
        return self._sweeps("WHERE campaign = ? ORDER BY due DESC, kind, vantage LIMIT ?", (name, most))

    def turns(self, name: str) -> list[TurnRow]:
        """Turns of a campaign, the oldest first."""
        query = "SELECT kind, vantage, number, began, ended, how FROM campaign_turns WHERE campaign = ? ORDER BY id"
        rows = self.file.read_sync(lambda c: c.execute(query, (name,)).fetchall())
        return [TurnRow(Lane(name, *row[:2]), *row[2:]) for row in rows]

    def running(self, name: str) -> list[Lane]:
        """Whose turns have not ended, as far as their conductor lives."""
        query = "SELECT kind, vantage FROM campaign_turns WHERE campaign = ? AND ended IS NULL ORDER BY id"
        return [Lane(name, *row) for row in self.file.read_sync(lambda c: c.execute(query, (name,)).fetchall())]

    def pasts(self, names: Sequence[str]) -> dict[Lane, Past]:
        """What the schedule has to know. Asked each second; it costs the same after years."""

        def read(connection: sqlite3.Connection) -> dict[Lane, Past]:
            found: dict[Lane, Past] = {}
            for lane in (lane for name in names for lane in _lanes(connection, name)):
                number, due, state = connection.execute(
                    f"SELECT number, due, state FROM campaign_sweeps WHERE {_LANE} ORDER BY number DESC LIMIT 1",
                    _key(lane),
                ).fetchone()
                found[lane] = Past(number, -math.inf if state == "changed" else due, state in OPEN)
            for lane, past in found.items():
                turns = connection.execute(
                    f"SELECT began, ended, how FROM campaign_turns WHERE {_LANE} AND ended IS NOT NULL"
                    " ORDER BY id DESC LIMIT ?",
                    (*_key(lane), NEWEST),
                ).fetchall()
                if turns:
                    past.began, past.ended, _ = turns[0]
                for began, ended, how in turns:
                    if how != "refresh":
                        break
                    past.held += ended - began
            return found

        return self.file.read_sync(read)

    def _sweeps(self, where: str, values: Sequence[object]) -> list[SweepRow]:
        query = f"SELECT campaign, kind, vantage, number, due, missed, state, body FROM campaign_sweeps {where}"
        rows = self.file.read_sync(lambda c: c.execute(query, values).fetchall())
        return [SweepRow(Lane(*row[:3]), row[3], row[4], row[5], row[6], orjson.loads(row[7])) for row in rows]


def _lanes(connection: sqlite3.Connection, name: str) -> Iterator[Lane]:
    """Lanes of a campaign that have sweeps: one look into the primary key for each, and not at all of their sweeps."""
    last = ("", "")
    query = (
        "SELECT kind, vantage FROM campaign_sweeps WHERE campaign = ? AND (kind, vantage) > (?, ?)"
        " ORDER BY kind, vantage LIMIT 1"
    )
    while (row := connection.execute(query, (name, *last)).fetchone()) is not None:
        last = row
        yield Lane(name, *row)


def _key(lane: Lane) -> tuple[str, str, str]:
    return lane.campaign, lane.kind, lane.vantage
