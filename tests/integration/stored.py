"""What a store holds after a measurement, as `stages.simnet.compare` wants it; what a SQLite log still has to do."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from stages.core.settings import StoreSettings
from stages.simnet.compare import Difference, Found, compare
from stages.simnet.expectation import Expected
from stages.simnet.network import Simnet
from stages.sink.app import open_store
from stages.sink.mongo import MongoStore
from stages.sink.settings import SinkSettings
from stages.sink.store import Collection, Filter, Store


def _store(url: str) -> Store:
    """MongoDB is read by PyMongo's async client: motor keeps a pool of threads for good, and a thread stays in the
    network namespace that it was made in."""
    if url.startswith("mongodb:"):
        return MongoStore(url, StoreSettings().database, client=AsyncMongoClient)
    return open_store(StoreSettings(url=url), SinkSettings(), read_only=True)


def documents(net: Simnet, url: str, collection: Collection) -> list[dict[str, Any]]:
    """All documents of a collection, read from inside the near namespace."""

    async def read() -> list[dict[str, Any]]:
        store = _store(url)
        await store.open()
        try:
            return [dict(document) async for document in store.find(collection, Filter())]
        finally:
            await store.close()

    with net.inside():
        return asyncio.run(read())


def count(net: Simnet, url: str, collection: Collection) -> int:
    async def read() -> int:
        store = _store(url)
        await store.open()
        try:
            return await store.count(collection)
        finally:
            await store.close()

    with net.inside():
        return asyncio.run(read())


def found(net: Simnet, url: str) -> list[Found]:
    """Every hit that is stored, with what was grabbed there. An answer that stands twice raises."""
    grabbed: dict[tuple[str, int], dict[str, Any]] = {}
    for collection in (Collection.BANNERS, Collection.TLS):
        for document in documents(net, url, collection):
            key = document["ip"], document["port"]
            assert key not in grabbed, f"two conversations with {key}"
            grabbed[key] = {"outcome": document["outcome"]}
            if collection is Collection.BANNERS:
                grabbed[key]["data"] = document.get("data", b"")
            else:
                grabbed[key] |= {"chain": tuple(document.get("chain", ())), "version": document.get("version")}
    hits = documents(net, url, Collection.HITS)
    left = grabbed.keys() - {(hit["ip"], hit["port"]) for hit in hits}
    assert not left, f"conversations without a hit: {sorted(left)[:5]}"
    return [Found(hit["ip"], hit["port"], **grabbed.get((hit["ip"], hit["port"]), {})) for hit in hits]


def against_truth(net: Simnet, url: str, truth: Sequence[Expected] | None = None) -> Difference:
    return compare(net.expected() if truth is None else truth, found(net, url))


def assert_true(net: Simnet, url: str) -> None:
    """What is stored is what stands there: nothing is missing, invented, doubled or wrong; services are the same."""
    difference = against_truth(net, url)
    assert not difference, "\n".join(difference.lines())
    assert difference.right > 100
    services = documents(net, url, Collection.SERVICES)
    assert len(services) == difference.right
    shown = {hash_ for one in found(net, url) for hash_ in one.chain or ()}
    assert {document["_id"] for document in documents(net, url, Collection.CERTIFICATES)} == shown


def behind(file: Path) -> int:
    """Records of a SQLite log that some reader has not committed."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT sum(l.next - r.next) FROM bus_reader r JOIN bus_log l ON l.id = r.log")
        return int(row.fetchone()[0] or 0)
