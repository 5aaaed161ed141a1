from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import stages.core.sqlitefile as module
from stages.core.errors import HostError, Unavailable, UsageError
from stages.core.sqlitefile import SqliteFile


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    held = SqliteFile.open(tmp_path / "a.db")
    held.write_sync(lambda c: c.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)"))
    yield held
    held.close()
    assert not SqliteFile._open


def rows(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT a FROM t ORDER BY a")]


def insert(value: int):  # type: ignore[no-untyped-def]
    return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (value,))


def test_one_handle_for_a_file(file: SqliteFile, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    again = SqliteFile.open(str(tmp_path / "link.db"))
    assert again is file
    again.close()
    file.write_sync(insert(1))
    assert file.read_sync(rows) == [1]


def test_settings_of_the_connection(file: SqliteFile) -> None:
    def look(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "query_only")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert file.write_sync(look) == ["wal", 2, 0]
    assert file.read_sync(look) == ["wal", 2, 1]


async def test_many_at_once_and_one_of_them_fails(file: SqliteFile) -> None:
    work = [file.write(insert(i)) for i in range(100)]
    work.insert(50, file.write(insert(7)))
    results = await asyncio.gather(*work, return_exceptions=True)
    failed = [result for result in results if isinstance(result, Exception)]
    assert len(failed) == 1
    assert isinstance(failed[0], sqlite3.IntegrityError)
    assert await file.read(rows) == list(range(100))


async def test_a_failure_takes_back_all_of_its_piece_and_nothing_else(file: SqliteFile) -> None:
    def half(connection: sqlite3.Connection) -> None:
        insert(1)(connection)
        raise KeyError("half-way")

    held = asyncio.gather(file.write(insert(0)), file.write(half), file.write(insert(2)), return_exceptions=True)
    assert isinstance((await held)[1], KeyError)
    assert await file.read(rows) == [0, 2]


async def test_group_commit(file: SqliteFile) -> None:
    """What is asked while the writer is busy shares one transaction."""
    commits = 0
    busy, go = threading.Event(), threading.Event()

    def count() -> None:
        nonlocal commits
        commits += 1

    def block(_: sqlite3.Connection) -> None:
        busy.set()
        go.wait()

    first = asyncio.ensure_future(file.write(block))
    await asyncio.to_thread(busy.wait)
    file.listen(count)
    rest = [asyncio.ensure_future(file.write(insert(i))) for i in range(200)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *rest)
    assert commits == 2
    file.unlisten(count)
    await file.write(insert(999))
    assert commits == 2


async def test_a_transaction_of_its_own(file: SqliteFile) -> None:
    """Neither what came before it nor what comes after it shares it, and the order stays."""
    commits: list[list[int]] = []
    done: list[int] = []
    busy, go = threading.Event(), threading.Event()

    def block(_: sqlite3.Connection) -> None:
        busy.set()
        go.wait()

    def noted(value: int):  # type: ignore[no-untyped-def]
        def work(connection: sqlite3.Connection) -> None:
            done.append(value)
            insert(value)(connection)

        return work

    first = asyncio.ensure_future(file.write(block))
    await asyncio.to_thread(busy.wait)
    file.listen(lambda: commits.append(done[:]))
    rest = [asyncio.ensure_future(file.write(noted(i), alone=i in (2, 3, 6))) for i in range(7)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *rest)
    assert [len(seen) for seen in commits] == [0, 2, 3, 4, 6, 7]
    assert done == list(range(7))
    assert await file.read(rows) == list(range(7))


async def test_closing_waits_for_what_wants_a_transaction_of_its_own(tmp_path: Path) -> None:
    held = SqliteFile.open(tmp_path / "b.db")
    await held.write(lambda c: c.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)"))
    busy, go = threading.Event(), threading.Event()

    def block(_: sqlite3.Connection) -> None:
        busy.set()
        go.wait()

    first = asyncio.ensure_future(held.write(block))
    await asyncio.to_thread(busy.wait)
    rest = [asyncio.ensure_future(held.write(insert(i), alone=i > 0)) for i in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(held.close))
    go.set()
    await asyncio.gather(first, *rest, closing)
    connection = sqlite3.connect(tmp_path / "b.db")
    assert rows(connection) == [0, 1, 2]
    connection.close()


async def test_a_transaction_that_breaks_as_a_whole_is_done_again_piece_by_piece(file: SqliteFile) -> None:
    def breaking(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
        raise sqlite3.OperationalError("broken")

    busy = threading.Event()
    first = asyncio.ensure_future(file.write(lambda _: busy.wait()))
    await asyncio.sleep(0.01)
    held = [file.write(insert(1)), file.write(breaking), file.write(insert(2))]
    waiting = asyncio.gather(*held, return_exceptions=True)
    await asyncio.sleep(0)
    busy.set()
    results = await waiting
    await first
    assert isinstance(results[1], sqlite3.OperationalError)
    assert await file.read(rows) == [1, 2]


async def test_disk_full(file: SqliteFile) -> None:
    pages = (await file.write(lambda c: c.execute("PRAGMA page_count").fetchone()))[0]
    await file.write(lambda c: c.execute("CREATE TABLE big (b)"))
    await file.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 3}").fetchone())
    big = lambda c: c.execute("INSERT INTO big VALUES (zeroblob(1000000))")  # noqa: E731
    results = await asyncio.gather(
        file.write(insert(1)), file.write(big), file.write(insert(2)), return_exceptions=True
    )
    assert isinstance(results[1], HostError)
    assert "full" in str(results[1])
    assert await file.read(rows) == [1, 2]


async def test_cancelled_before_it_began_is_not_done(file: SqliteFile) -> None:
    busy = threading.Event()
    first = asyncio.ensure_future(file.write(lambda _: busy.wait()))
    await asyncio.sleep(0.01)
    second = asyncio.ensure_future(file.write(insert(1)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    busy.set()
    await first
    await file.write(insert(2))
    assert await file.read(rows) == [2]


async def test_readers_do_not_wait_for_the_writer(file: SqliteFile) -> None:
    await file.write(insert(1))
    busy = threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        insert(2)(connection)
        busy.wait()

    writing = asyncio.ensure_future(file.write(slow))
    await asyncio.sleep(0.01)
    assert await file.read(rows) == [1]
    busy.set()
    await writing
    assert await file.read(rows) == [1, 2]
    with pytest.raises(HostError, match="readonly"):
        await file.read(insert(3))
    with pytest.raises(KeyError):
        await file.read(lambda _: {}["x"])


def test_locked_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    held = SqliteFile.open(tmp_path / "a.db")
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        held.write_sync(lambda c: c.execute("CREATE TABLE t (a)"))
    other.execute("ROLLBACK")
    other.close()
    held.write_sync(lambda c: c.execute("CREATE TABLE t (a)"))
    held.close()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    for path in (tmp_path / "text", tmp_path / "no" / "a.db", tmp_path):
        with pytest.raises(HostError):
            SqliteFile.open(path)
    for path in ("", ":memory:"):
        with pytest.raises(UsageError):
            SqliteFile.open(path)
    with pytest.raises(UsageError, match="synchronous"):
        SqliteFile.open(tmp_path / "a.db", synchronous="MAYBE")


def test_closed(tmp_path: Path) -> None:
    held = SqliteFile.open(tmp_path / "a.db")
    held.write_sync(lambda c: c.execute("CREATE TABLE t (a)"))
    held.close()
    assert not (tmp_path / "a.db-wal").exists()
    with pytest.raises(HostError, match="closed"):
        held.write_sync(rows)
    with pytest.raises(HostError, match="closed"):
        held.read_sync(rows)


def test_migrations(tmp_path: Path) -> None:
    held = SqliteFile.open(tmp_path / "a.db")
    scripts = ["CREATE TABLE one (a); CREATE TABLE two (a)", "ALTER TABLE one ADD COLUMN b"]
    held.migrate("x", scripts[:1])
    held.migrate("x", scripts)
    held.migrate("x", scripts)
    held.migrate("y", ["CREATE TABLE three (a)"])
    held.write_sync(lambda c: c.execute("INSERT INTO one (a, b) VALUES (1, 2)"))
    with pytest.raises(UsageError, match=r"x version 2.*newer"):
        held.migrate("x", scripts[:1])
    with pytest.raises(sqlite3.OperationalError):
        held.migrate("x", [*scripts, "CREATE TABLE four (a); nonsense"])
    names = held.read_sync(lambda c: {row[0] for row in c.execute("SELECT name FROM sqlite_master")})
    assert {"one", "two", "three"} <= names
    assert "four" not in names
    held.close()


OPEN = """
import sys
from stages.core.sqlitefile import SqliteFile
for n in range(20):
    file = SqliteFile.open(f"{sys.argv[1]}/{n}.db")
    file.migrate("x", ["CREATE TABLE t (a)"])
    file.write_sync(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    file.close()
"""


def test_made_by_several_processes_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
    held = SqliteFile.open(tmp_path / "7.db")
    assert held.read_sync(lambda c: c.execute("SELECT count(*) FROM t").fetchone()) == (3,)
    held.close()
