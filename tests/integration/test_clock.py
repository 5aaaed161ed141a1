"""The clock is stepped while a measurement runs, forwards and back: what is stored is the truth all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.integration import plans
from tests.integration.stored import assert_true
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until
from tests.require import require

#: Debian's faketime: the processes read a clock of ours (the monotonic one stays, as when a clock is stepped).
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")

#: One after the other, by an hour and by a day.
STEPS = ("+3600", "-3600", "+86400", "+0")


@pytest.mark.slow
def test_the_clock_is_stepped(town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path) -> None:
    require(LIBRARY.exists(), "libfaketime (Debian: faketime)")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    stepped = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    plans.prepare(town, tmp_path, store)
    workers = plans.stages(crew, town, tmp_path, log.words, store, env=stepped)
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    words = (*plans.scan(town, rate=1_500), *log.words)
    scan = crew.hire(Worker(town, tmp_path, *words, name="scan", env=stepped))
    scan.start()
    sink, taken = workers[0], 0.0
    for step in STEPS:
        until(lambda taken=taken: sink.metric("longline_sink_records_taken_total") > taken, "it goes on")
        taken = sink.metric("longline_sink_records_taken_total")
        clock.write_text(step)
    assert scan.wait() == 0, scan.tail()
    until(log.drained, "everything is stored")
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
        assert worker.starts == 1
    assert_true(town, store)
    assert not log.read(log.topics.dead)
