"""Kafka or the database goes away in the middle of a measurement, and comes back: nothing is lost, nothing doubled.

Meanwhile `/readyz` says no and `/healthz` yes, as an orchestrator needs it: take no traffic, do not restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.stored import assert_true, count
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until
from tests.servers.mongo import MongoServer
from tests.servers.proxy import Proxy
from tests.servers.refusing import DISK_FULL, NOT_PRIMARY, UNAUTHORIZED, Refusing, Wrong

T = TypeVar("T", Proxy, Refusing)

#: Probes per second: the scan still runs when something breaks.
SLOWLY = 1_000

#: Seconds that the database cannot be reached.
CUT = 20.0

#: A store that does not answer is seen in so many seconds; by default it is 20.
STORE_TIMEOUT = {"LONGLINE_SINK_TIMEOUT": "3"}


@contextmanager
def behind(town: Simnet, store: str, make: Callable[[int], T]) -> Iterator[tuple[T, str]]:
    """What `make` puts before the store's port, and the URL of the store through it."""
    address, name = store.removeprefix("mongodb://").split("/")
    with ExitStack() as stack:
        with town.inside():
            between = stack.enter_context(make(int(address.rpartition(":")[2])))
        yield between, f"mongodb://127.0.0.1:{between.port}/{name}"


def behind_a_proxy(town: Simnet, store: str) -> AbstractContextManager[tuple[Proxy, str]]:
    return behind(town, store, lambda port: Proxy("127.0.0.1", port))


def begin(town: Simnet, log: Log, store: str, crew: Crew, folder: Path) -> tuple[list[Worker], Worker]:
    """All workers ready, and a scan under way."""
    workers = plans.stages(crew, town, folder, log.words, store, env=STORE_TIMEOUT)
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    scan = crew.hire(Worker(town, folder, *plans.scan(town, rate=SLOWLY), *log.words, name="scan"))
    scan.start()
    return workers, scan


def end(town: Simnet, log: Log, store: str, workers: Sequence[Worker], scan: Worker) -> None:
    """The scan and the workers end well, and all is there."""
    assert scan.wait() == 0, scan.tail()
    until(log.drained, "everything is stored", 120)
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
        assert worker.starts == 1
        assert "Traceback" not in worker.text
    assert_true(town, store)
    assert not log.read(log.topics.dead)


@pytest.mark.slow
def test_the_broker_is_restarted(town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path) -> None:
    workers, scan = begin(town, log, store, crew, tmp_path)
    until(lambda: workers[0].metric("longline_sink_documents_total"), "something is stored")
    log.server.stop()
    try:
        for worker in (*workers, scan):
            until(lambda worker=worker: not worker.ready, f"{worker.name} is not ready")
            assert worker.healthy
    finally:
        log.server.start()
    crew.all_ready(workers)
    end(town, log, store, workers, scan)


@pytest.mark.slow
def test_the_database_is_stopped_and_started(
    town: Simnet, town_mongo_durable: MongoServer, log: Log, crew: Crew, name: str, tmp_path: Path
) -> None:
    server = town_mongo_durable
    store = f"{server.url}/{name}"
    workers, scan = begin(town, log, store, crew, tmp_path)
    sink = workers[0]
    until(lambda: sink.metric("longline_sink_documents_total"), "something is stored")
    server.stop()
    until(lambda: not sink.ready, "the sink is not ready")
    assert sink.healthy
    assert all(worker.ready for worker in workers if worker is not sink), "only the sink needs the database"
    server.start()
    until(lambda: sink.ready, "the sink is ready again")
    end(town, log, store, workers, scan)


@pytest.mark.slow
def test_the_database_is_cut_off(town: Simnet, store: str, log: Log, crew: Crew, tmp_path: Path) -> None:
    """Half of the time nothing answers, then everything is refused."""
    with behind_a_proxy(town, store) as (proxy, url):
        workers, scan = begin(town, log, url, crew, tmp_path)
        sink = workers[0]
        until(lambda: sink.metric("longline_sink_documents_total"), "something is stored")
        began = time.monotonic()
        proxy.cut(silently=True)
        until(lambda: not sink.ready, "the sink is not ready", CUT)
        before = count(town, store, Collection.HITS)
        time.sleep(max(0.0, began + CUT / 2 - time.monotonic()))
        proxy.cut()
        time.sleep(max(0.0, began + CUT - time.monotonic()))
        assert not sink.ready
        assert sink.healthy
        assert all(worker.ready for worker in workers if worker is not sink), "only the sink needs the database"
        assert count(town, store, Collection.HITS) == before, "written through a cut line"
        proxy.mend()
        until(lambda: sink.ready, "the sink is ready again")
        end(town, log, store, workers, scan)


@pytest.mark.slow
def test_the_database_is_slow(town: Simnet, store: str, log: Log, crew: Crew, tmp_path: Path) -> None:
    """Its line carries so little that writes end in timeouts and are done again."""
    with behind_a_proxy(town, store) as (proxy, url):
        workers, scan = begin(town, log, url, crew, tmp_path)
        sink = workers[0]
        until(lambda: sink.metric("longline_sink_documents_total"), "something is stored")
        proxy.slow(2_000)
        until(lambda: sink.metric("longline_sink_write_failures_total"), "a write was given up")
        assert sink.healthy
        proxy.mend()
        until(lambda: sink.ready, "the sink is ready again")
        end(town, log, store, workers, scan)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [NOT_PRIMARY, DISK_FULL], ids=lambda wrong: wrong.name)
def test_the_database_refuses_to_write(
    town: Simnet, store: str, log: Log, crew: Crew, tmp_path: Path, wrong: Wrong
) -> None:
    """As after an election, and with a full disk: the sink waits, records stay in the log, and nothing is dead."""
    with behind(town, store, Refusing) as (database, url):
        workers, scan = begin(town, log, url, crew, tmp_path)
        sink = workers[0]
        until(lambda: sink.metric("longline_sink_documents_total"), "something is stored")
        database.refuse(wrong)
        until(lambda: not sink.ready and database.refused > 3, "writes are tried again")
        assert sink.healthy
        assert all(worker.ready for worker in workers if worker is not sink), "only the sink needs the database"
        database.mend()
        until(lambda: sink.ready, "the sink is ready again")
        end(town, log, store, workers, scan)


@pytest.mark.slow
def test_the_database_allows_no_writes_to_us(town: Simnet, store: str, log: Log, crew: Crew, tmp_path: Path) -> None:
    """Time mends no missing right: the sink stops and says so; with the right it goes on where it was."""
    with behind(town, store, Refusing) as (database, url):
        workers, scan = begin(town, log, url, crew, tmp_path)
        sink = workers[0]
        until(lambda: sink.metric("longline_sink_documents_total"), "something is stored")
        database.refuse(UNAUTHORIZED)
        assert sink.wait() == 1, sink.tail()
        assert "the database refuses us" in sink.text
        database.mend()
        sink.start()
        assert scan.wait() == 0, scan.tail()
        until(log.drained, "everything is stored", 120)
        assert_true(town, store)
        assert not log.read(log.topics.dead)
