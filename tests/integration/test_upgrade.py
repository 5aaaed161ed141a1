"""Workers of two versions side by side, as during an upgrade: nothing is lost.

The newer version is today's with one more in `v` and a field that today's does not know, made by a plain patch of the
number: what the older worker cannot read goes to the dead letters, and is put back when it has been upgraded too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.integration import plans
from tests.integration.stored import assert_true
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until

#: Run in place of `longline`: the same program, a version on.
NEWER = """
import sys
from stages.core import records, schema
records.VERSION = {version}
from stages.cli.main import main
sys.exit(main())
"""


def newer(version: int) -> list[str]:
    return [sys.executable, "-c", NEWER.format(version=version)]


@pytest.mark.slow
def test_an_older_sink_beside_newer_grabs(town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path) -> None:
    def worker(name: str, *words: str, version: int = 1) -> Worker:
        wrap = (lambda command: [*newer(version), *command[1:]]) if version > 1 else list
        return crew.hire(Worker(town, tmp_path, *words, *log.words, name=name, wrap=wrap))

    plans.prepare(town, tmp_path, store)
    # The fuse would stop a stage that can read nothing: hits are of the older version, and the sink reads them.
    stages = [
        worker("sink", "sink", "--store", store),
        worker("old", "bannergrab", *plans.BANNERS),
        worker("new", "bannergrab", *plans.BANNERS, version=2),
        worker("tls", "tlsgrab", *plans.TLS),
    ]
    for stage in stages:
        stage.start()
    crew.all_ready(stages)
    scan = crew.hire(Worker(town, tmp_path, *plans.scan(town, rate=5_000), *log.words, name="scan"))
    assert scan.start().wait() == 0, scan.tail()
    until(log.drained, "everything is worked off")
    letters = log.read(log.topics.dead)
    assert letters, "the newer worker had nothing to do"
    assert {headers["stage"] for _, headers in letters} == {b"sink"}
    assert {headers["reason"] for _, headers in letters} == {b"schema"}
    # The sink is upgraded, and what it could not read comes back.
    assert stages[0].stop() == 143, stages[0].tail()
    upgraded = worker("upgraded", "sink", "--store", store, version=2)
    upgraded.start()
    crew.all_ready([upgraded])
    show = Worker(town, tmp_path, "dead", "show", *log.words, name="show", metrics=False)
    with (tmp_path / "dead.jsonl").open("wb") as out:
        assert show.start(stdout=out).wait() == 0, show.tail()
    replay = crew.hire(
        Worker(
            town, tmp_path, "dead", "replay", tmp_path / "dead.jsonl", *log.words, name="replay", metrics=False,
            wrap=lambda command: [*newer(2), *command[1:]],
        )
    )  # fmt: skip
    assert replay.start().wait() == 0, replay.tail()
    until(log.drained, "everything is stored")
    for stage in (*stages[1:], upgraded):
        assert stage.stop() == 143, stage.tail()
    assert_true(town, store)
