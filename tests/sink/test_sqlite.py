"""What is SQLite's own: the file, its rows, readers beside the writer, a full disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from stages.core.errors import HostError, UsageError
from stages.core.sqlitefile import SqliteFile
from stages.sink.erasure import Erasure
from stages.sink.migrations import MIGRATIONS, PART
from stages.sink.rows import packed
from stages.sink.sqlite import STATEMENT_ROWS, SqliteStore, _query
from stages.sink.store import Collection, Filter, network_range
from tests.sink.material import banner, hit, snapshot, tls, write


@pytest.mark.parametrize("record_id", ["0" * 32, "0123456789abcdef" * 2, "A" * 32, " " * 32, "x", "", "é" * 32])
async def test_any_id_comes_back(sqlite_store: SqliteStore, record_id: str) -> None:
    assert isinstance(packed(record_id), bytes) is (record_id in ("0" * 32, "0123456789abcdef" * 2))
    if record_id:
        await write(sqlite_store, hit(id=record_id), hit("10.0.0.2", id=record_id + "2"))
        assert {d["_id"] async for d in sqlite_store.find(Collection.HITS, Filter())} == {record_id, record_id + "2"}


@pytest.mark.parametrize("n", [1, 2, STATEMENT_ROWS[0] - 1, STATEMENT_ROWS[0], STATEMENT_ROWS[0] + 1])
async def test_batches_of_any_size_with_a_repeat(sqlite_store: SqliteStore, n: int) -> None:
    first = [banner(f"10.0.{i >> 8}.{i & 255}") for i in range(n)]
    written = await write(sqlite_store, *first)
    assert (written.stored, written.services) == (n, n)
    more = [banner(f"10.1.{i >> 8}.{i & 255}") for i in range(n)]
    written = await write(sqlite_store, *more[: n // 2], first[0], *more[n // 2 :])
    assert (written.stored, written.repeated, written.services) == (n, 1, n)
    assert await sqlite_store.count(Collection.BANNERS) == 2 * n


async def test_what_is_erased_is_not_in_the_file_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In steps, and overwritten."""
    monkeypatch.setattr("stages.sink.sqlite.PURGE_ROWS", 3)
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    await write(store, *(banner(f"10.0.{i}.1", data=b"secret word %d" % (i // 8)) for i in range(16)))
    erasure = Erasure("10.0.0.0/21", 1)
    await store.erase(erasure, network_range("10.0.0.0/21"), lambda: 1.0)
    assert (erasure.observations, erasure.services) == (8, 8)
    await store.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret word 0" not in stored
    assert b"secret word 1" in stored


async def test_a_killed_erasure_is_told(sqlite_store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*anything: object) -> None:
        raise HostError("killed")

    await write(sqlite_store, banner("10.0.0.1"))
    monkeypatch.setattr("stages.sink.sqlite._end_erasure", killed)
    with pytest.raises(HostError, match="killed"):
        await sqlite_store.erase(Erasure("10.0.0.0/8", 1), network_range("10.0.0.0/8"), lambda: 1.0)
    assert [erasure.ended for erasure in await sqlite_store.erasures()] == [None]


async def test_a_file_of_before_there_were_erasures(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "old.db")
    file.migrate(PART, MIGRATIONS[:4])
    file.close()
    assert await SqliteStore(tmp_path / "old.db", read_only=True).erasures() == []


async def test_a_reader_beside_the_writer(sqlite_store: SqliteStore) -> None:
    await write(sqlite_store, hit(), tls(ders=[b"x"]))
    reader = SqliteStore(sqlite_store.path, read_only=True)
    await reader.open()
    assert await snapshot(reader) == await snapshot(sqlite_store)
    await write(sqlite_store, hit("10.0.0.2"))
    assert await reader.count(Collection.HITS) == 2
    await reader.close()


async def test_reading_what_is_not_there(tmp_path: Path) -> None:
    missing = SqliteStore(tmp_path / "missing.db", read_only=True)
    with pytest.raises(UsageError, match="no such file"):
        await missing.open()
    assert not missing.path.exists()
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    empty = SqliteStore(tmp_path / "empty.db", read_only=True)
    await empty.open()
    with pytest.raises(UsageError, match="nothing was stored"):
        await empty.count(Collection.SERVICES)
    with pytest.raises(UsageError, match="nothing was stored"):
        await anext(aiter(empty.find(Collection.SERVICES, Filter())))
    (tmp_path / "text.db").write_bytes(b"not a database, " * 99)
    text = SqliteStore(tmp_path / "text.db", read_only=True)
    await text.open()
    with pytest.raises(HostError, match="not a database"):
        await text.count(Collection.SCANS)


async def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        await SqliteStore(tmp_path / "no" / "such" / "folder.db").open()


async def test_a_full_disk_loses_nothing(sqlite_store: SqliteStore) -> None:
    """PRAGMA max_page_count makes SQLite say what a full disk says (SQLITE_FULL)."""
    await write(sqlite_store, hit())
    assert sqlite_store._file is not None
    pages = await sqlite_store._file.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await sqlite_store._file.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
    many = [banner(f"10.0.{i >> 8}.{i & 255}", data=b"x" * 500) for i in range(900)]
    before = await snapshot(sqlite_store)
    with pytest.raises(HostError, match="full"):
        await write(sqlite_store, *many)
    assert await snapshot(sqlite_store) == before
    await sqlite_store._file.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
    assert (await write(sqlite_store, *many)).stored == 900


async def test_the_network_filter_uses_the_index(sqlite_store: SqliteStore) -> None:
    network = network_range("10.0.0.0/24")
    for collection, where in (
        (Collection.SERVICES, Filter(network=network)),
        (Collection.BANNERS, Filter(network=network)),
        (Collection.BANNERS, Filter(network=network, scan="s1")),
    ):
        sql, bound, _ = _query(collection, where)
        assert sqlite_store._file is not None
        plan = await sqlite_store._file.read(
            lambda c, s=sql, b=bound: c.execute("EXPLAIN QUERY PLAN " + s, b).fetchall()
        )
        assert any("USING INDEX" in row[3] and "address>?" in row[3] for row in plan), plan
        assert not any(row[3].startswith("SCAN observations") for row in plan), plan


async def test_the_history_of_a_network_is_found_in_each_scan(sqlite_store: SqliteStore) -> None:
    scans = ["", "a", "b b", "Z", "é"]
    some = [hit(f"10.0.{i}.1", scan=scan, ts=i * 10 + n + 1) for n, scan in enumerate(scans) for i in range(3)]
    await write(sqlite_store, *some, hit("2001:db8::1", scan="six"))
    for text, count in {"10.0.1.0/24": 5, "10.0.0.0/8": 15, "::/0": 1, "192.0.2.0/24": 0}.items():
        found = [d async for d in sqlite_store.find(Collection.HITS, Filter(network=network_range(text)))]
        assert len(found) == count
        assert [d["ts"] for d in found] == sorted(d["ts"] for d in found)


async def test_many_rows_are_purged_in_steps(sqlite_store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.sink.sqlite.PURGE_ROWS", 10)
    await write(sqlite_store, *[hit(f"10.0.0.{i}", i + 1) for i in range(33)])
    assert await sqlite_store.purge(31) == 30
    assert await sqlite_store.count(Collection.HITS) == 3
