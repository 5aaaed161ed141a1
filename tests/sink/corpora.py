"""A corpus in each store, for the tests of the sink and of the jobs over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from stages.sink.corpus import Corpus
from stages.sink.mongo_corpus import MongoCorpus
from stages.sink.sqlite_corpus import SqliteCorpus

_NUMBERS = count()


@pytest.fixture(params=["sqlite", "motor", "pymongo"])
async def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Corpus]:
    """An empty, open corpus."""
    opened: Corpus
    if request.param == "sqlite":
        opened = SqliteCorpus(tmp_path / "corpus.db")
    else:
        server = request.getfixturevalue("mongo_server")
        options: dict[str, object] = {}
        if request.param == "pymongo":
            from pymongo import AsyncMongoClient

            options["client"] = AsyncMongoClient
        opened = MongoCorpus(server.url, f"corpus{next(_NUMBERS)}", **options)  # type: ignore[arg-type]
    await opened.init(None)
    await opened.open()
    yield opened
    await opened.close()
