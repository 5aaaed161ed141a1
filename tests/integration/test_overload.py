"""A scanner several times faster than the grabs: each way bounds the lag, and what became of the hits is known."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.stored import assert_true, count, documents
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until

#: Some 150 of 3,000 probes a second are answered, two thirds of them for bannergrab, which takes 40.
RATE, SLOW = 3_000, "40"
BOUND = 50
#: A batch that was let through whole.
BEYOND = 100

#: What must wait does so in its worker's hands: put off to another topic it would count as done.
IN_HAND = {"LONGLINE_POLITENESS_HORIZON": "5m"}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pause", "drop", "spill"])
def test_a_scanner_faster_than_the_grabs(
    town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path, way: str
) -> None:
    plans.prepare(town, tmp_path, store)
    slow = ("--max-rate", SLOW)
    workers = [
        crew.hire(Worker(town, tmp_path, *words, *log.words, name=words[0], env=IN_HAND))
        for words in (("sink", "--store", store), ("bannergrab", *plans.BANNERS, *slow), ("tlsgrab", *plans.TLS))
    ]
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    more = ("--spill-file", str(tmp_path / "spill")) if way == "spill" else ()
    words = (*plans.scan(town, rate=RATE), *log.words, "--max-lag", str(BOUND), "--on-lag", way, *more)
    scan = crew.hire(Worker(town, tmp_path, *words, name="scan"))
    scan.start()
    most, dropped = 0, 0.0
    while scan.running:
        most = max(most, log.behind("bannergrab", [log.topics.hits]))
        dropped = max(dropped, scan.metric("longline_scanner_hits_dropped_total"))
        time.sleep(0.3)
    assert scan.wait() == 0, scan.tail()
    assert BOUND / 2 < most < BOUND + BEYOND
    assert "those who take the hits are" in scan.text
    until(log.drained, "everything is stored")
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
    if way == "drop":
        assert dropped > 0
        (told,) = documents(town, store, Collection.SCANS)
        counters = told["end"]["counters"]
        assert (counters["hits_dropped"], counters["written"]) == (dropped, 620 - dropped)
        assert count(town, store, Collection.HITS) + dropped == 620
    else:
        assert dropped == 0
        assert_true(town, store)
    assert not (tmp_path / "spill").exists()
