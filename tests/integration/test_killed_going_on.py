"""A scan that goes on with its connections is killed again and again: every banner is there in the end, and is right.

What was being said when it was killed is not settled: those targets are probed once more. So a banner may stand twice,
and the last of a target counts.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import orjson
import pytest

from stages.simnet.network import Simnet
from tests.integration import plans
from tests.integration.test_pipes import assert_as_the_truth_says, banner
from tests.integration.test_ways import FIRST, GRAB, quiet_again
from tests.integration.workers import Worker

KILLS = 8
#: Seconds that one of them lives, at least and at most: a start takes about one.
LIVES = (1.5, 4.0)
#: Probes a second: the scan takes as long as the killing.
SLOWLY = "250"


def whole(file: Path) -> list[dict[str, object]]:
    """The records of the file. The kill may have cut the last line of each life: the next one begins on its own."""
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_that_was_said_is_lost(town: Simnet, tmp_path: Path) -> None:
    rnd = random.Random(13)
    out, checkpoint = tmp_path / "out", tmp_path / "checkpoint"
    words = (
        "-p", "80", "--grab", "http-req", *GRAB, "-O", "hits", "-o", str(out), "-c", str(plans.COOLDOWN), "-q",
        "--checkpoint", str(checkpoint), *town.spec.targets,
    )  # fmt: skip
    scan = Worker(town, tmp_path, "scan", "-r", SLOWLY, *words)
    cut = 0
    try:
        for _ in range(KILLS):
            scan.start()
            time.sleep(rnd.uniform(*LIVES))
            cut += scan.running
            scan.kill()
        assert cut >= KILLS // 2, "the scan was over before it was killed"
        assert scan.start().wait(FIRST) == 0, scan.tail()
    finally:
        scan.kill()
    records = whole(out)
    last = {record["ip"]: record for record in records if record["kind"] == "banner"}
    assert {record["via"] for record in last.values()} == {"raw"}
    hits = {record["ip"] for record in records if record["kind"] == "hit"}
    assert hits == last.keys(), (len(hits), sorted(hits - last.keys()))
    assert_as_the_truth_says(town, [banner(orjson.dumps(record)) for record in last.values()], 80)
    quiet_again(town)
