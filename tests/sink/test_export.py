"""JSON Lines and CSV: what is written can be read again, and memory does not grow."""

from __future__ import annotations

import csv
import tracemalloc
from base64 import b64decode
from io import StringIO

import orjson
import pytest

from stages.sink.export import CHUNK_BYTES, CSV_COLUMNS, csv_line, export, json_line
from stages.sink.sqlite import SqliteStore
from stages.sink.store import Collection, Filter, Store
from tests.sink.material import T0, banner, batch_of, certificate, one_of_each


async def _export(store: Store, collection: Collection, form: str) -> bytes:
    return b"".join([chunk async for chunk in export(store, collection, Filter(), form)])


@pytest.mark.parametrize("collection", list(Collection))
async def test_json_lines(store: Store, collection: Collection) -> None:
    await one_of_each(store)
    lines = (await _export(store, collection, "jsonl")).splitlines()
    assert len(lines) == await store.count(collection)
    documents = [d async for d in store.find(collection, Filter())]
    assert lines == [json_line(d).rstrip(b"\n") for d in documents]
    assert [orjson.loads(line)["_id"] for line in lines] == [d["_id"] for d in documents]


@pytest.mark.parametrize("collection", list(Collection))
async def test_csv(store: Store, collection: Collection) -> None:
    await one_of_each(store)
    text = (await _export(store, collection, "csv")).decode()
    table = list(csv.DictReader(StringIO(text, newline="")))
    assert len(table) == await store.count(collection)
    assert text.startswith(",".join(CSV_COLUMNS[collection]) + "\r\n")
    row = table[0]
    if collection is Collection.BANNERS:
        assert b64decode(row["data"]) == b'"quoted",\r\n=cmd\0\xff'
        assert (row["ts"], row["truncated"], row["vantage"]) == ("2026-11-21T07:00:00.000000Z", "false", "")
    elif collection is Collection.HITS:
        assert (row["rtt"], orjson.loads(row["tcp"]), row["success"]) == ("0.5", {"seq": 1}, "true")
    elif collection is Collection.TLS:
        assert len(row["chain"].split(" ")) == 2
    elif collection is Collection.SERVICES:
        assert (row["banner.outcome"], row["hit.probe"]) == ("ok", "tcp_synscan")
    elif collection is Collection.SCANS:
        assert orjson.loads(row["start.spec"]) == {"ports": [80, 443]}
    else:
        assert {r["parse_status"] for r in table} == {"success", "fail"}
        assert {b64decode(r["raw"]) for r in table} == {certificate(), b"bad"}


async def test_nothing(store: Store) -> None:
    assert await _export(store, Collection.HITS, "jsonl") == b""
    assert await _export(store, Collection.HITS, "csv") == csv_line(CSV_COLUMNS[Collection.HITS])


async def test_memory_does_not_grow_with_what_is_stored(sqlite_store: SqliteStore) -> None:
    for part in range(4):
        records = [banner(f"10.{part}.{i >> 8}.{i & 255}", T0 + i, data=bytes(2_000)) for i in range(2_500)]
        await sqlite_store.write(batch_of(records))
    del records
    total = most = 0
    tracemalloc.start()
    try:
        async for chunk in export(sqlite_store, Collection.BANNERS, Filter(), "jsonl"):
            total += len(chunk)
            most = max(most, len(chunk))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 25_000_000
    assert most < CHUNK_BYTES + 10_000
    assert peak < 8_000_000  # two pages of 500 rows, and a chunk
