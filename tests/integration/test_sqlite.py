"""The whole pipeline over one SQLite file: each stage a process of its own, and all of them in one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.corpus import assert_all_are_judged
from tests.integration.stored import assert_true, behind, count, documents
from tests.integration.workers import Crew, Worker, until


@pytest.mark.slow
def test_every_stage_a_process_over_one_file(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    file = tmp_path / "town.db"
    store, bus = f"sqlite:{file}", ("--bus", f"sqlite:{file}")
    workers = plans.stages(crew, town, tmp_path, bus, store)
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    scan = crew.hire(Worker(town, tmp_path, *plans.scan(town, rate=5_000), *bus, name="scan"))
    assert scan.start().wait() == 0, scan.tail()
    until(lambda: not behind(file), "everything is stored")
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
    assert_true(town, store)
    assert_all_are_judged(town, store, crew, tmp_path)


@pytest.mark.slow
def test_run_and_run_again(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    file = tmp_path / "town.db"
    store = f"sqlite:{file}"
    run = crew.hire(Worker(town, tmp_path, *plans.run(town, store, rate=5_000)))
    assert run.start().wait() == 0, run.tail()
    assert_true(town, store)
    before = documents(town, store, Collection.BANNERS)
    assert run.start().wait() == 0
    assert "is finished; --again scans anew" in run.text
    assert documents(town, store, Collection.BANNERS) == before


@pytest.mark.slow
def test_it_is_read_and_backed_up_while_it_runs(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    """Readers and a backup (SQLite's online backup, as docs/operations.md has it) see a whole file."""
    store, copies = f"sqlite:{tmp_path / 'town.db'}", 0
    run = crew.hire(Worker(town, tmp_path, *plans.run(town, store, rate=1_500)))
    run.start()
    until(lambda: run.metric("longline_sink_documents_total"), "something is stored")
    before = 0
    while run.running and copies < 20:
        words = ("query", "services", "--json", "--limit", "0", "--store", store)
        asked = Worker(town, tmp_path, *words, name="query", metrics=False)
        assert asked.start().wait() == 0, asked.tail()
        copy = tmp_path / f"backup{copies}.db"
        with closing(sqlite3.connect(tmp_path / "town.db")) as source, closing(sqlite3.connect(copy)) as into:
            source.backup(into)
            assert into.execute("pragma integrity_check").fetchone() == ("ok",)
        stored = count(town, f"sqlite:{copy}", Collection.SERVICES)
        assert stored >= before
        before, copies = stored, copies + 1
    assert copies >= 3
    assert run.wait() == 0, run.tail()
    assert_true(town, store)
