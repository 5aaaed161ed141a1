from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import stages.core.checkpointer as module
from stages.core.checkpointer import Checkpointer, frames
from stages.core.errors import HostError
from stages.core.sqlitefile import SqliteFile

PAGE = 4096
FRAME = 24 + PAGE


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def fill(connection: sqlite3.Connection, pages: int) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS t (b)")
    connection.execute("INSERT INTO t VALUES (zeroblob(?))", (pages * PAGE,))


def passive(connection: sqlite3.Connection) -> tuple[int, int]:
    """(frames in the WAL, frames of them in the file)."""
    _, there, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return there, moved


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(path)
    yield connection
    connection.close()


def eventually(condition, seconds: float = 20.0) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_frames_are_what_sqlite_counts(path: Path, writer: sqlite3.Connection) -> None:
    fill(writer, 1)
    with wal_of(path).open("rb", buffering=0) as wal:
        seen = []
        for pages in (1, 30, 2, 7):
            fill(writer, pages)
            salts, count = frames(wal)
            seen.append(salts)
            assert count * FRAME + 32 == wal_of(path).stat().st_size
        there, moved = passive(writer)
        assert (there, moved) == (count, count)
        fill(writer, 3)  # anew: behind it lies what the round before left
        salts, fewer = frames(wal)
        assert 3 <= fewer < count
        assert wal_of(path).stat().st_size == count * FRAME + 32
        assert passive(writer)[0] == fewer
        assert len(set(seen)) == 1
        assert salts not in seen


def test_a_wal_without_a_header(tmp_path: Path) -> None:
    for content in (b"", b"x" * 31):
        (tmp_path / "wal").write_bytes(content)
        with (tmp_path / "wal").open("rb", buffering=0) as wal:
            assert frames(wal) == (b"", 0)


def test_a_pass_runs_beside_the_writer(path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_PAGES", 20)
    checkpointer = Checkpointer(path, connect(path))
    fill(writer, 5)
    checkpointer.committed()
    assert checkpointer._begun == 0
    size = path.stat().st_size
    fill(writer, 40)
    writer.execute("BEGIN IMMEDIATE")  # a transaction is open all the while
    checkpointer.committed()
    assert eventually(lambda: checkpointer._ended == 1)
    assert path.stat().st_size >= size + 40 * PAGE
    writer.execute("COMMIT")
    fill(writer, 5)
    checkpointer.committed()
    assert checkpointer._begun == 1
    checkpointer.close()


def test_the_wal_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer without a pause writes twenty times the bound."""
    monkeypatch.setattr(module, "CHECKPOINT_PAGES", 50)
    monkeypatch.setattr(module, "WAL_PAGES", 100)
    file = SqliteFile.open(path)
    for _ in range(200):
        file.write_sync(lambda connection: fill(connection, 10))
        assert wal_of(path).stat().st_size <= (100 + 20) * FRAME
    file.close()
    assert path.stat().st_size >= 2_000 * PAGE


def test_a_reader_of_an_old_snapshot_delays_the_bound_and_stops_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_PAGES", 50)
    monkeypatch.setattr(module, "WAL_PAGES", 100)
    file = SqliteFile.open(path)
    file.write_sync(lambda connection: fill(connection, 10))
    reader = connect(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    for _ in range(50):
        file.write_sync(lambda connection: fill(connection, 10))
    grown = wal_of(path).stat().st_size
    assert grown > 500 * FRAME
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    reader.execute("COMMIT")
    for _ in range(50):
        file.write_sync(lambda connection: fill(connection, 10))
    assert wal_of(path).stat().st_size <= grown + 20 * FRAME
    reader.close()
    file.close()


def test_a_pass_that_fails_is_said_and_holds_nobody_up(
    path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WAL_PAGES", 5)
    fill(writer, 1)
    connection = connect(path)
    checkpointer = Checkpointer(path, connection)
    connection.close()
    fill(writer, 10)
    with caplog.at_level(logging.WARNING):
        checkpointer.committed()
    assert "cannot be moved" in caplog.text
    checkpointer.close()


def test_a_wal_that_cannot_be_read_is_said(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpointer = Checkpointer(path, connect(path))
    checkpointer._wal.close()
    checkpointer._wal = path.parent.joinpath("write only").open("wb", buffering=0)  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING):
        checkpointer.committed()
    assert "cannot be read" in caplog.text
    checkpointer.close()


def test_a_wal_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="WAL cannot be opened"):
        Checkpointer(tmp_path / "elsewhere.db", sqlite3.connect(":memory:"))
