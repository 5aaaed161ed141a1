"""A history in each store, for the tests of the sink and of the jobs over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from stages.sink.history import History
from stages.sink.mongo_history import MongoHistory
from stages.sink.sqlite_history import SqliteHistory

_NUMBERS = count()


@pytest.fixture(params=["sqlite", "motor", "pymongo"])
async def history(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[History]:
    """An empty, open history."""
    opened: History
    if request.param == "sqlite":
        opened = SqliteHistory(tmp_path / "history.db")
    else:
        server = request.getfixturevalue("mongo_server")
        options: dict[str, object] = {}
        if request.param == "pymongo":
            from pymongo import AsyncMongoClient

            options["client"] = AsyncMongoClient
        opened = MongoHistory(server.url, f"history{next(_NUMBERS)}", **options)  # type: ignore[arg-type]
    await opened.init(None)
    await opened.open()
    yield opened
    await opened.close()
