"""What no stage can read, put into every topic by somebody else's program."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pytest

from stages.core.deadletters import FUSE_WINDOW
from stages.core.records import MAX_RECORD_BYTES
from stages.simnet.compare import compare
from stages.simnet.network import Simnet
from tests.integration import plans
from tests.integration.stored import found
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until

#: value -> the reason that its dead letter must give. Each below the broker's own limit.
POISON = {
    b'{"kind": "hit", "v"': "undecodable",
    b"\x00\xff\xfe not even text \x80": "undecodable",
    b"10.0.0.1,80": "undecodable",
    b"[]": "schema",
    b'{"kind": "hit", "v": 1}': "schema",
    b'{"kind": "no such kind", "v": 1}': "schema",
    b'{"kind": "hit", "v": 99, "ip": "10.0.0.1", "port": 80, "scan": "x"}': "schema",
    b'{"kind": "banner", "v": 1, "ip": "10.0.0.999", "port": "eighty"}': "schema",
    b'{"kind": "hit", "padding": "' + b"x" * MAX_RECORD_BYTES + b'"}': "oversized",
}

#: One /24 of the town.
PART = "10.0.3.0/24"


@pytest.mark.slow
def test_poison_in_every_topic(town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path) -> None:
    t = log.topics
    workers = plans.stages(crew, town, tmp_path, log.words, store)
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    readers = {t.hits: {"bannergrab", "tlsgrab", "sink"}, t.banners: {"sink"}, t.tls: {"sink"}, t.scans: {"sink"}}
    for topic in readers:
        log.put(topic, POISON)
    words = ["scan", PART, "-p", "22,80,443", "-r", "1000", "-c", "2", "--scan", "part"]
    scan = crew.hire(Worker(town, tmp_path, *words, *log.words, name="scan"))
    assert scan.start().wait() == 0, scan.tail()
    until(log.drained, "everything is stored")
    letters = log.read(t.dead)
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
        assert "Traceback" not in worker.text

    told = Counter((value, h["topic"].decode(), h["stage"].decode(), h["reason"].decode()) for value, h in letters)
    wanted = Counter(
        (value, topic, stage, reason)
        for value, reason in POISON.items()
        for topic, stages in readers.items()
        for stage in stages
    )
    assert told == wanted
    assert all(h["error"] and h["partition"].isdigit() and h["offset"].isdigit() for _, h in letters)

    prefix = PART.rpartition(".")[0] + "."
    difference = compare([e for e in town.expected() if e.ip.startswith(prefix)], found(town, store))
    assert not difference, difference.lines()
    assert difference.right > 10


@pytest.mark.parametrize("stage", ["bannergrab", "tlsgrab", "sink"])
def test_a_topic_that_is_mostly_dead_stops_the_stage(
    town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path, stage: str
) -> None:
    words = {"sink": ("--store", store)}.get(stage, ())
    worker = crew.hire(Worker(town, tmp_path, stage, *words, *log.words))
    worker.start()
    crew.all_ready()
    log.put(log.topics.hits, (b"garbage %d" % n for n in range(3 * FUSE_WINDOW)))
    assert worker.wait() == 1, worker.tail()
    assert "records are dead: stopping" in worker.text
    assert "Traceback" not in worker.text
    dead = len(log.read(log.topics.dead))
    assert dead > FUSE_WINDOW // 2


def test_a_few_bad_lines_in_a_pipe_are_told_on_standard_error(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    lines = b"".join(value + b"\n" for value in POISON if value != b"10.0.0.1,80") + b"10.0.0.300,80\nnonsense\n"
    (tmp_path / "lines").write_bytes(lines)
    worker = crew.hire(Worker(town, tmp_path, "bannergrab", "-p", "80", "--dead", "dead.jsonl", metrics=False))
    with (tmp_path / "lines").open("rb") as given, (tmp_path / "out").open("wb") as out:
        assert worker.start(stdin=given, stdout=out).wait() == 0, worker.tail()
    assert (tmp_path / "out").read_bytes() == b""
    letters = [orjson.loads(line) for line in (tmp_path / "dead.jsonl").read_bytes().splitlines()]
    assert len(letters) == len(lines.splitlines())
    assert {letter["kind"] for letter in letters} == {"dead"}
