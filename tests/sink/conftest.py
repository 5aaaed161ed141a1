"""Stores to test: SQLite in a temporary file, MongoDB's wire protocol by motor and by PyMongo's own async client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from stages.sink.mongo import MongoStore
from stages.sink.sqlite import SqliteStore
from stages.sink.store import Store
from tests.servers.mongo import MongoServer

_NUMBERS = count()


def mongo_store(server: MongoServer, driver: str = "motor", **options: object) -> MongoStore:
    """A store over a database of its own."""
    database = f"sink{next(_NUMBERS)}"
    if driver == "pymongo":
        from pymongo import AsyncMongoClient

        options["client"] = AsyncMongoClient
    return MongoStore(server.url, database, **options)  # type: ignore[arg-type]


@pytest.fixture(params=["sqlite", "motor", "pymongo"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty, open store."""
    opened: Store
    if request.param == "sqlite":
        opened = SqliteStore(tmp_path / "store.db")
    else:
        opened = mongo_store(request.getfixturevalue("mongo_server"), request.param)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "one.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def motor_store(mongo_server: MongoServer) -> AsyncIterator[MongoStore]:
    opened = mongo_store(mongo_server)
    await opened.open()
    yield opened
    await opened.close()
