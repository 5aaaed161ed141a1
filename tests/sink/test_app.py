"""What the command calls: which store a URL is, --init, --purge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.bus.base import Topics
from stages.core.errors import Unavailable, UsageError
from stages.core.metrics import Metrics
from stages.core.settings import StoreSettings
from stages.sink.app import (
    build,
    init,
    is_corpus,
    is_history,
    open_corpus,
    open_history,
    open_store,
    open_survey,
    purge,
    topics_of,
)
from stages.sink.mongo import MongoStore
from stages.sink.mongo_corpus import MongoCorpus
from stages.sink.mongo_history import MongoHistory
from stages.sink.mongo_survey import MongoSurvey
from stages.sink.settings import SinkSettings
from stages.sink.sqlite import SqliteStore
from stages.sink.sqlite_corpus import SqliteCorpus
from stages.sink.sqlite_history import SqliteHistory
from stages.sink.sqlite_survey import SqliteSurvey
from stages.sink.store import Collection, count_all
from tests.servers.mongo import MongoServer
from tests.sink.material import T0, hit, write


def test_the_store_of_a_url(tmp_path: Path) -> None:
    sqlite = open_store(StoreSettings(url=f"sqlite:{tmp_path}/a b.db"), SinkSettings())
    assert isinstance(sqlite, SqliteStore)
    assert sqlite.path == tmp_path / "a b.db"
    mongo = open_store(StoreSettings(url="mongodb://user:secret@host/db"), SinkSettings())
    assert isinstance(mongo, MongoStore)
    assert mongo.place == "mongodb://user:***@host/db"
    with pytest.raises(UsageError, match=r"--store: 'postgres://u:\*\*\*@h': not one of sqlite:"):
        open_store(StoreSettings(url="postgres://u:secret@h"), SinkSettings())


def test_sqlite_needs_no_driver_of_mongodb() -> None:
    code = (
        "import sys; from stages.sink.app import *; from stages.core.settings import StoreSettings;"
        "build(StoreSettings(), SinkSettings()); sys.exit(str({'motor', 'pymongo', 'bson'} & set(sys.modules) or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == "0"


def test_what_it_reads() -> None:
    assert topics_of(Topics("x")) == ("x.hits.v1", "x.banners.v1", "x.tls.v1", "x.scans.v1")


async def test_init_and_purge_of_sqlite(tmp_path: Path) -> None:
    where = StoreSettings(url=f"sqlite:{tmp_path}/x.db")
    said = await init(where, SinkSettings(retention=86_400))
    assert any("tables" in line for line in said)
    assert any("--purge" in line for line in said)
    store = open_store(where, SinkSettings())
    await store.open()
    await write(store, hit(ts=T0), hit("10.0.0.2", ts=T0 + 5_000_000))
    await store.close()
    settings = SinkSettings(purge=True, retention=10)
    assert await purge(where, settings, clock=lambda: T0 / 1e6 + 12) == 1
    reader = open_store(where, SinkSettings(), read_only=True)
    await reader.open()
    assert (await count_all(reader))["hits"] == 1
    assert await reader.count(Collection.SERVICES) == 2
    with pytest.raises(UsageError, match="--retention"):
        await purge(where, SinkSettings())


async def test_init_of_mongodb(mongo_server: MongoServer) -> None:
    where = StoreSettings(url=mongo_server.url, database="init")
    for _ in range(2):
        said = await init(where, SinkSettings(retention=3_600))
        assert any("3600 seconds" in line for line in said)


async def test_init_without_a_database() -> None:
    where = StoreSettings(url="mongodb://127.0.0.1:1")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        await init(where, SinkSettings(timeout=0.3))


def test_build_counts_where_told(tmp_path: Path) -> None:
    metrics = Metrics()
    stage = build(StoreSettings(url=f"sqlite:{tmp_path}/x.db"), SinkSettings(), metrics)
    assert stage.name == "sink"
    assert "longline_sink_documents" in {m.name for m in metrics}
    assert not (tmp_path / "x.db").exists()


def test_which_stores_keep_states(tmp_path: Path) -> None:
    for url in (f"sqlite:{tmp_path}/x.db", "mongodb://db.example/x", "mongodb+srv://db.example/x"):
        settings = StoreSettings(url=url)
        assert is_history(settings)
        assert isinstance(open_history(settings, SinkSettings()), SqliteHistory | MongoHistory)
    other = StoreSettings(url="postgres:x")
    assert not is_history(other)
    with pytest.raises(UsageError, match="not one of sqlite"):
        open_history(other, SinkSettings())


def test_which_stores_are_a_corpus(tmp_path: Path) -> None:
    for url in (f"sqlite:{tmp_path}/x.db", "mongodb://db.example/x", "mongodb+srv://db.example/x"):
        settings = StoreSettings(url=url)
        assert is_corpus(settings)
        assert isinstance(open_corpus(settings, SinkSettings()), SqliteCorpus | MongoCorpus)
    other = StoreSettings(url="postgres:x")
    assert not is_corpus(other)
    with pytest.raises(UsageError, match="not one of sqlite"):
        open_corpus(other, SinkSettings())


def test_which_stores_can_be_asked_about_whole_scans(tmp_path: Path) -> None:
    for url, kind in ((f"sqlite:{tmp_path}/x.db", SqliteSurvey), ("mongodb://host/db", MongoSurvey)):
        assert isinstance(open_survey(StoreSettings(url=url), SinkSettings()), kind)
    with pytest.raises(UsageError, match="not one of sqlite"):
        open_survey(StoreSettings(url="postgres://h"), SinkSettings())
