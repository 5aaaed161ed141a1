"""The store of the recipe is a store: it passes the contract that SQLite and MongoDB pass, and holds what they hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.records import Record
from stages.sink.sqlite import SqliteStore
from stages.sink.store import Store
from tests.docs.recipe import follow
from tests.sink import contract
from tests.sink.contract import *  # noqa: F403
from tests.sink.material import batch_of, distinct, records, snapshot
from tests.sink.material import wipe as wipe_files


async def wipe(store: Any) -> None:
    """Empty it."""
    for table in store.tables.values():
        table.clear()


@pytest.fixture(scope="module")
def memory_module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return follow("store.md", tmp_path_factory.mktemp("store")).module()


@pytest.fixture
async def store(memory_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setattr(contract, "wipe", wipe)
    opened: Store = memory_module.MemoryStore()
    await opened.open()
    yield opened
    await opened.close()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_=st.lists(records(), max_size=14).map(distinct))
async def test_it_holds_what_sqlite_holds(store: Store, tmp_path: Path, given_: list[Record]) -> None:
    sqlite = SqliteStore(tmp_path / "beside.db")
    await sqlite.open()
    for one, empty in ((store, wipe), (sqlite, wipe_files)):
        await empty(one)
        for i in range(0, len(given_), 5):
            await one.write(batch_of(given_[i : i + 5]))
    assert await snapshot(store) == await snapshot(sqlite)
    await sqlite.close()
