"""Moving a WAL into its file in a thread of its own, so that no commit waits for it; and the bound on the WAL.

SQLite by itself moves the WAL (a checkpoint) within the commit that made it long: the writer stands still for two
syncs and thousands of writes at random places. A passive checkpoint on another connection wants no lock that a writer
or a reader has (sqlite.org/wal.html, "Ckpt locks"), so it runs beside them. But a WAL begins anew only in a transaction
that starts when all of it has been moved, which beside a writer without a pause is never. So the writer asks after each
commit, between two transactions, how long the WAL is (`Checkpointer.committed`), and at the bound waits for one pass.

A reader that holds an old snapshot keeps what came after it in the WAL. Then the writer still waits for one pass a
commit and no longer: a reader may delay the bound, not stop the work.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from bisect import bisect_left
from pathlib import Path
from typing import BinaryIO, Final

from stages.core.errors import HostError

log = logging.getLogger("longline.core.checkpointer")

#: Pages in the WAL that are not in the file yet, when a pass begins: 64 MiB. A page that many transactions touch is
#: then written to the file once, and the two syncs of a pass are rare.
CHECKPOINT_PAGES: Final = 16_384

#: Pages in the WAL at which the writer waits: 128 MiB, so that a pass has the time of 64 MiB to run beside the writer.
#: A longer WAL was not faster: each page that is read is looked for in its index first.
WAL_PAGES: Final = 32_768

# sqlite.org/fileformat2.html, 4.1: header of the WAL, headers of its frames; the salts tell this round of the WAL from
# what an earlier one left behind it.
_HEADER_BYTES: Final = 32
_PAGE_SIZE: Final = slice(8, 12)
_SALTS: Final = slice(16, 24)
_FRAME_BYTES: Final = 24
_FRAME_SALTS: Final = slice(8, 16)


def frames(wal: BinaryIO) -> tuple[bytes, int]:
    """(salts, frames) of the WAL's present round. A dozen reads of a few bytes, by bisection."""
    size = wal.seek(0, 2)
    wal.seek(0)
    header = wal.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return b"", 0
    salts = header[_SALTS]
    step = _FRAME_BYTES + int.from_bytes(header[_PAGE_SIZE], "big")

    def foreign(frame: int) -> bool:
        wal.seek(_HEADER_BYTES + frame * step)
        return wal.read(_FRAME_BYTES)[_FRAME_SALTS] != salts

    return salts, bisect_left(range((size - _HEADER_BYTES) // step), True, key=foreign)


class Checkpointer:
    """The thread of one file. `connection` becomes its own: nobody else uses or closes it.

    Raises HostError when the WAL cannot be opened.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # makes the WAL; it stays while we do
            self._wal: BinaryIO = Path(f"{path}-wal").open("rb", buffering=0)  # noqa: SIM115 (closed by `close`)
        except (OSError, sqlite3.Error) as error:
            connection.close()
            raise HostError(f"{path}: its WAL cannot be opened: {error}") from error
        self._changed = threading.Condition()
        self._salts = b""
        self._moved = 0  # frames of this round that are in the file
        self._wanted = False
        self._begun = 0  # passes
        self._ended = 0
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name=f"sqlite-checkpointer {path.name}", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """The writer's word, in its thread and outside a transaction, that it committed. Waits at the bound."""
        try:
            salts, there = frames(self._wal)
        except OSError as error:  # a broken disk: the next write says so to whoever wants it
            log.warning("%s: its WAL cannot be read: %s", self._path, error)
            return
        with self._changed:
            if salts != self._salts:
                self._salts, self._moved = salts, 0
            if there - self._moved < CHECKPOINT_PAGES and there < WAL_PAGES:
                return
            self._wanted = True
            self._changed.notify_all()
            if there >= WAL_PAGES:
                mine = self._begun + 1  # one that runs already may have begun before this commit
                self._changed.wait_for(lambda: self._ended >= mine or self._closing)

    def close(self) -> None:
        """Wait for the pass that runs, and close the connection."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._connection.close()
        self._wal.close()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing)
                if self._closing:
                    return
                self._wanted = False
                self._begun += 1
                salts = self._salts
            moved = self._pass()
            with self._changed:
                self._ended = self._begun
                if salts == self._salts:
                    self._moved = max(self._moved, moved)
                self._changed.notify_all()

    def _pass(self) -> int:
        """One checkpoint. Returns the frames that are in the file now; less than all beside a reader or a writer."""
        try:
            _, _, moved = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:  # nothing is lost, and a disk that is full or broken fails the next write too
            log.warning("%s: its WAL cannot be moved into it: %s", self._path, error)
            return 0
        return int(moved)
