"""SIGKILL, each stage twenty times in one run, at random points: nothing is lost, nothing stands twice.

The points are random and the same each time (a seeded generator); what the processes are doing then is not, and that is
meant. Each is started again with the command it had; the scanner goes on from its checkpoint. `make chaos` does the
same a thousand times.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.chaos.experiments import Pipeline, killed_over_kafka, killed_over_sqlite
from tests.integration.topics import Log
from tests.integration.workers import Crew

#: Of each process.
KILLS = 20


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_stage_over_kafka_and_mongodb(town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path) -> None:
    seen = killed_over_kafka(Pipeline(town, log, store, crew, tmp_path), random.Random(11), KILLS)
    assert seen.numbers["kills"] == 5 * KILLS


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_run_over_one_file(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    assert killed_over_sqlite(town, crew, tmp_path, random.Random(12), KILLS).numbers["kills"] == KILLS
