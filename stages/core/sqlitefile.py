"""One SQLite file of this process: one writer, group commit, readers that never wait for it.

SQLite admits one writer at a time, and at `synchronous=FULL` a commit waits for the disk. So each file has one writer
connection in one thread for the whole process, shared by the bus and the store; what is asked of it while a commit
waits for the disk goes together into the next transaction (group commit). Each piece of work stands in a savepoint:
it fails alone, and it is acknowledged only after the COMMIT that holds it. In WAL mode readers see the last commit
and neither wait nor make wait (sqlite.org/wal.html).

Work handed to `write` may be run again when another piece breaks the transaction that it shares (disk full rolls all
of it back, sqlite.org/lang_transaction.html, "Response To Errors"): it must have no effect outside the database.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Final, TypeVar

from stages.core.checkpointer import WAL_PAGES, Checkpointer
from stages.core.errors import HostError, LonglineError, Unavailable, UsageError

log = logging.getLogger("longline.core.sqlitefile")

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
#: What is to be done, who waits for it, and whether it wants a transaction of its own.
Item = tuple[Work, Future[Any], bool]

#: Pieces of work in one transaction: enough to share one wait for the disk, few enough that one failure is cheap.
MAX_GROUP: Final = 256

#: Seconds to wait for a writer of another process before the work fails as Unavailable.
BUSY_SECONDS: Final = 10.0

#: Seconds between two tries to switch a new file to WAL.
WAL_RETRY_SECONDS: Final = 0.02

#: A WAL file that grew beyond its bound (a long reader, a large transaction) is cut back to this when it begins anew.
#: Not below the bound: a file that is written over in place is synced faster than one that grows.
WAL_BYTES: Final = WAL_PAGES * 4_096

#: Page cache of one connection, in KiB (negative for the pragma): a worker must stay small.
CACHE_KIB: Final = 16_384

#: Whose fault an error is, by SQLite's primary result code (sqlite.org/rescode.html).
HOST_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOLFS,
    }
)
RETRY_CODES: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})


def mapped(error: sqlite3.Error, path: Path) -> Exception:
    """Our name for SQLite's error; an error of the statement itself (a bug, a constraint) stays what it is."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in HOST_CODES:
        return HostError(f"{path}: {error}")
    if primary in RETRY_CODES:
        return Unavailable(f"{path}: {error}")
    return error


class SqliteFile:
    """A shared, counted handle on one file: `open` it, `close` it as often."""

    _open: ClassVar[dict[Path, SqliteFile]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path, synchronous: str) -> None:
        """Use `open`."""
        self.path = path
        self._users = 1
        self._closing = False
        self._gate = threading.Lock()  # nothing is queued behind the end mark
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._writes: SimpleQueue[Item | None] = SimpleQueue()
        self._reads: SimpleQueue[Item | None] = SimpleQueue()
        with ExitStack() as undo:
            self._writer = undo.enter_context(closing(_connect(path, synchronous)))
            self._reader = undo.enter_context(closing(_connect(path, synchronous)))
            self._reader.execute("PRAGMA query_only = ON")
            self._checkpointer = Checkpointer(path, _connect(path, synchronous))
            undo.pop_all()
        self._threads = [
            threading.Thread(target=self._write_loop, name=f"sqlite-writer {path.name}", daemon=True),
            threading.Thread(target=self._read_loop, name=f"sqlite-reader {path.name}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def open(path: str | Path, *, synchronous: str = "FULL") -> SqliteFile:
        """The handle of this process on the file, made if missing. Raises HostError, Unavailable or UsageError.

        `synchronous` (OFF, NORMAL, FULL, EXTRA) counts at the first open only.
        """
        if synchronous.upper() not in ("OFF", "NORMAL", "FULL", "EXTRA"):
            raise UsageError("synchronous", synchronous, "not one of OFF, NORMAL, FULL, EXTRA")
        if str(path) in ("", ":memory:"):
            raise UsageError("sqlite", str(path), "needs the name of a file")
        real = Path(path).resolve()
        with SqliteFile._lock:
            file = SqliteFile._open.get(real)
            if file is None:
                file = SqliteFile._open[real] = SqliteFile(real, synchronous.upper())
            else:
                file._users += 1
            return file

    async def write(self, fn: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        """Run `fn` in the current transaction; returns after its COMMIT.

        `alone`: in a transaction of its own. For work that changes thousands of pages: beside others SQLite would keep
        a copy of each of them for the savepoint (measured: 45 MB for two batches of the sink, and nothing gained).

        Raises what `fn` raises (then nothing of it stays, and nobody else's work is touched), HostError when the disk
        is full or fails, Unavailable when another process keeps the file locked.
        """
        return await asyncio.wrap_future(self._submit(self._writes, fn, alone))

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` on the reader connection, in one snapshot."""
        return await asyncio.wrap_future(self._submit(self._reads, fn))

    def write_sync(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """`write` for threads and commands without a loop."""
        return self._submit(self._writes, fn).result()

    def read_sync(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """`read` for threads and commands without a loop."""
        return self._submit(self._reads, fn).result()

    def migrate(self, part: str, migrations: Sequence[str]) -> None:
        """Bring the tables of `part` (`bus`, `store`) to version len(migrations); each migration is an SQL script.

        Raises UsageError if a newer program made the file.
        """
        self.write_sync(lambda connection: _migrate(connection, self.path, part, migrations))

    def listen(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the writer thread after each commit of this process, before the writes that it holds
        return; it must not block or raise."""
        with self._gate:
            self._listeners = (*self._listeners, callback)

    def unlisten(self, callback: Callable[[], None]) -> None:
        """The inverse of `listen`."""
        with self._gate:
            self._listeners = tuple(other for other in self._listeners if other != callback)

    def close(self) -> None:
        """Let go; the last user waits for what is queued, and closes the file."""
        with SqliteFile._lock:
            self._users -= 1
            if self._users:
                return
            SqliteFile._open.pop(self.path, None)
        with self._gate:
            self._closing = True
            self._writes.put(None)
            self._reads.put(None)
        for thread in self._threads:
            thread.join()
        self._checkpointer.close()
        self._reader.close()
        self._writer.close()  # the last connection moves the WAL into the file

    # --- threads

    def _submit(
        self, queue: SimpleQueue[Item | None], fn: Callable[[sqlite3.Connection], T], alone: bool = False
    ) -> Future[T]:
        future: Future[T] = Future()
        with self._gate:
            if self._closing:
                raise HostError(f"{self.path}: closed")
            queue.put((fn, future, alone))
        return future

    def _write_loop(self) -> None:
        queue = self._writes
        held: Item | None = None  # what wants a transaction of its own and came behind others
        last = False
        while not last:
            item, held = queue.get() if held is None else held, None
            group: list[Item] = []
            while item is not None:
                if group and item[2]:
                    held = item
                    break
                if item[1].set_running_or_notify_cancel():
                    group.append(item)
                if len(group) >= MAX_GROUP or item[2]:
                    break
                try:
                    item = queue.get_nowait()
                except Empty:
                    break
            else:
                last = True
            if group:
                self._commit(group)
                self._checkpointer.committed()

    def _commit(self, group: list[Item]) -> None:
        """One transaction for the group; where it breaks as a whole, one for each."""
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            alone = len(group) == 1
            for fn, future, _ in group:
                outcomes.append((future, *(self._alone(fn) if alone else self._piece(fn))))
                if not self._writer.in_transaction:
                    raise _Broken
            self._writer.execute("COMMIT")
        except (_Broken, sqlite3.Error) as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            if len(group) > 1 and not _locked(error):
                for item in group:
                    self._commit([item])
                return
            failure = error if isinstance(error, sqlite3.Error) else outcomes[-1][2]
            outcomes = [(future, None, failure) for _, future, _ in group]
        for listener in self._listeners:  # first: who is told that it is written finds the listeners told as well
            listener()
        for future, result, raised in outcomes:
            if raised is None:
                future.set_result(result)
            else:
                future.set_exception(mapped(raised, self.path) if isinstance(raised, sqlite3.Error) else raised)

    def _alone(self, fn: Work) -> tuple[Any, BaseException | None]:
        """Without a savepoint, for which SQLite would copy each page before its first change; a failure takes back
        the whole transaction, and an empty one is committed in its place."""
        connection = self._writer
        try:
            return fn(connection), None
        except BaseException as error:  # handed to whoever asked
            if connection.in_transaction:
                connection.execute("ROLLBACK")
                connection.execute("BEGIN")
            return None, error

    def _piece(self, fn: Work) -> tuple[Any, BaseException | None]:
        connection = self._writer
        connection.execute("SAVEPOINT piece")
        try:
            result = fn(connection)
        except BaseException as error:  # handed to whoever asked
            if connection.in_transaction:
                connection.execute("ROLLBACK TO piece")
                connection.execute("RELEASE piece")
            return None, error
        connection.execute("RELEASE piece")
        return result, None

    def _read_loop(self) -> None:
        connection = self._reader
        while (item := self._reads.get()) is not None:
            fn, future, _ = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                connection.execute("BEGIN")
                try:
                    result = fn(connection)
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                future.set_exception(mapped(error, self.path))
            except BaseException as error:  # handed to whoever asked
                future.set_exception(error)
            else:
                future.set_result(result)


class _Broken(Exception):
    """SQLite rolled the whole transaction back."""


def _locked(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in RETRY_CODES


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        mode = _wal(connection)
        if mode != "wal":
            raise HostError(f"{path}: its file system does not support WAL (journal mode stays {mode!r})")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # the Checkpointer does it
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA foreign_keys = ON")
        # Where savepoints keep the pages that they may have to put back: by default a temporary file, written page by
        # page; in memory it is bounded by what one transaction changes.
        connection.execute("PRAGMA temp_store = MEMORY")
    except (sqlite3.Error, LonglineError) as error:
        if connection is not None:
            connection.close()
        raise (mapped(error, path) if isinstance(error, sqlite3.Error) else error) from error
    return connection


def _wal(connection: sqlite3.Connection) -> str:
    """Switch to WAL. SQLite does not wait for its lock here when two processes make the file at once; we do."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if not _locked(error) or time.monotonic() > deadline:
                raise
            time.sleep(WAL_RETRY_SECONDS)


def _migrate(connection: sqlite3.Connection, path: Path, part: str, migrations: Sequence[str]) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (part TEXT PRIMARY KEY, version INTEGER NOT NULL)")
    row = connection.execute("SELECT version FROM schema_version WHERE part = ?", (part,)).fetchone()
    version = 0 if row is None else int(row[0])
    if version > len(migrations):
        raise UsageError(
            str(path), f"{part} version {version}", f"a newer Longline made it; this one reads up to {len(migrations)}"
        )
    for script in migrations[version:]:
        for statement in script.split(";"):  # executescript would commit the transaction that all share
            if statement.strip():
                connection.execute(statement)
    connection.execute(
        "INSERT INTO schema_version VALUES (?, ?) ON CONFLICT (part) DO UPDATE SET version = excluded.version",
        (part, len(migrations)),
    )
