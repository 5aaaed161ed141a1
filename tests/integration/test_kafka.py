"""The whole pipeline over Kafka into MongoDB, every stage a process of its own, against the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.corpus import assert_all_are_judged
from tests.integration.stored import assert_true, documents
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until


@pytest.mark.slow
def test_a_whole_scan_through_kafka_to_mongodb_equals_the_truth(
    town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path
) -> None:
    plans.prepare(town, tmp_path, store)
    workers = plans.stages(crew, town, tmp_path, log.words, store, bannergrabs=2)
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    scan = crew.hire(Worker(town, tmp_path, *plans.scan(town, rate=5_000), *log.words, name="scan"))
    assert scan.start().wait() == 0, scan.tail()
    until(log.drained, "everything is stored")
    shares = [w.metric("longline_bannergrab_records_taken_total") for w in workers if w.name.startswith("bannergrab")]
    assert all(shares), f"one of two workers of a group had nothing to do: {shares}"
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
    assert_true(town, store)
    (told,) = documents(town, store, Collection.SCANS)
    assert told["_id"] == "town"
    assert {"start", "end"} <= told.keys()
    assert not log.read(log.topics.dead)
    assert_all_are_judged(town, store, crew, tmp_path)
