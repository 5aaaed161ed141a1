from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from stages.cli.fleettop import COLUMNS, look, table
from stages.fleet.ledger import Ledger
from stages.fleet.messages import Slice
from stages.fleet.state import State
from tests.fleet.material import DIGEST, NOW, can, shown, work


@pytest.fixture
async def state(tmp_path: Path) -> State:
    books = Ledger(timeout=60.0, slice_seconds=20.0)
    books.submit(work(), NOW - 100)
    for alias in ("bob", "alice"):
        books.hello(alias, can(grabs=("tls",) if alias == "bob" else ()), NOW - 60, (), NOW - 60)
    given = books.lease("alice", NOW)
    assert isinstance(given, Slice)
    books.begin("alice", given.token, DIGEST, (), NOW)
    books.progress("alice", given.token, 50, shown(given, 50), sent=50, rate=10.0, pending=0, finished=False, now=NOW)
    kept = State(tmp_path / "fleet.db")
    await kept.keep(books.take_changes())
    return kept


async def test_the_table_is_what_is_kept(state: State) -> None:
    seen = look(state, NOW, "alias")
    assert [row["alias"] for row in seen["table"]] == ["alice", "bob"]
    assert seen["agents"] == {"online": 1, "executing": 1, "storing": 0, "offline": 0}
    assert set(seen["table"][0]) == set(COLUMNS)
    [scan] = seen["scans"]
    assert (scan["done"], scan["targets"], scan["elapsed"], scan["state"]) == (50, 1_024, 100, "under way")
    assert scan["waits_for"] == ""
    assert [row["grabs"] for row in seen["table"]] == ["", "tls"]
    assert scan["eta"] == round((1_024 - 50) / 10.0)
    state.close()


async def test_of_an_agent_with_several_slices_each_counts_with_its_own_speed(tmp_path: Path) -> None:
    books = Ledger(timeout=60.0, slice_seconds=20.0)
    books.submit(work(), NOW)
    books.hello("alice", can(), NOW, (), NOW)
    for rate in (10.0, 0.0):
        given = books.lease("alice", NOW)
        assert isinstance(given, Slice)
        books.begin("alice", given.token, DIGEST, (), NOW)
        said = shown(given, given.first + 1)
        books.progress(
            "alice", given.token, given.first + 1, said, sent=1, rate=rate, pending=0, finished=False, now=NOW
        )
    kept = State(tmp_path / "fleet.db")
    await kept.keep(books.take_changes())
    [scan] = look(kept, NOW, "alias")["scans"]
    assert scan["eta"] == round((1_024 - 2) / 10.0)
    kept.close()


@pytest.mark.parametrize("column", COLUMNS)
async def test_it_can_be_sorted_by_every_column(state: State, column: str) -> None:
    rows = look(state, NOW, column)["table"]
    assert [row[column] for row in rows] == sorted(row[column] for row in rows)
    state.close()


async def test_what_a_person_sees(state: State) -> None:
    from rich.console import Console

    console = Console(width=400, record=True, file=StringIO())
    console.print(table(look(state, NOW, "alias")))
    text = console.export_text()
    for word in ("alice", "executing", "Waits for", "under way", "4.9 %", "0:01:37", *COLUMNS.values()):
        assert word in text
    state.close()
