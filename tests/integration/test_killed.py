"""SIGKILL, each stage twenty times in one run, at random points: nothing is lost, nothing stands twice.

The points are random and the same each time (a seeded generator); what the processes are doing then is not, and that is
meant. Each is started again with the command it had; the scanner goes on from its checkpoint.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.stored import assert_true, documents
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until

#: Of each process.
KILLS = 20

#: Seconds from one kill to the next, at most, while one of five is killed; one process then lives for some four
#: seconds: enough to start and do something, or for half of that.
WITHIN = 1.6

#: The same where there is one process.
ALONE = 3.0

#: Probes per second: the scan takes about as long as the killing, as it sends for a part of that time only.
SLOWLY = 300


def resume(file: Path) -> tuple[str, str]:
    """The same words each time: begin, or go on."""
    return "--checkpoint", str(file)


def assert_told(net: Simnet, store: str) -> None:
    """The store knows one scan, from its start to its end, however often it was begun again."""
    (told,) = documents(net, store, Collection.SCANS)
    assert told.keys() >= {"start", "end"}, told
    assert told["end"]["position"] == 12_288


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_stage_over_kafka_and_mongodb(town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path) -> None:
    rnd = random.Random(11)
    checkpoint = tmp_path / "checkpoint"
    workers = plans.stages(crew, town, tmp_path, log.words, store, bannergrabs=2, member=True)
    scan = crew.hire(Worker(town, tmp_path, *plans.scan(town, rate=SLOWLY), *log.words, name="scan"))
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    scan.start(*resume(checkpoint))
    victims = [*workers, scan] * KILLS
    rnd.shuffle(victims)
    cut = 0
    for victim in victims:
        time.sleep(rnd.uniform(0, WITHIN))
        if victim is scan:
            cut += scan.running
        victim.kill()
        victim.start(*(resume(checkpoint) if victim is scan else ()))
    assert cut >= KILLS // 2, "the scan was over before it was killed"
    assert [worker.starts for worker in (*workers, scan)] == [1 + KILLS] * 5
    assert scan.wait() == 0, scan.tail()
    crew.all_ready(workers)
    until(log.drained, "everything is stored", 120)
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
    assert_true(town, store)
    assert_told(town, store)
    assert not log.read(log.topics.dead)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_run_over_one_file(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    rnd = random.Random(12)
    store = f"sqlite:{tmp_path}/town.db"
    run = crew.hire(Worker(town, tmp_path, *plans.run(town, store, rate=700)))
    cut = 0
    for _ in range(KILLS):
        run.start()
        time.sleep(rnd.uniform(0.5, ALONE + 0.5))
        cut += run.running
        run.kill()
    assert cut >= KILLS // 2, "it was over before it was killed"
    assert run.start().wait(120) == 0, run.tail()
    assert_true(town, store)
    assert_told(town, store)
