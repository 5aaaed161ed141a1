"""SIGTERM: a stage finishes what it has begun, within its deadline, and what it has taken is not lost."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import orjson
import pytest

from stages.simnet.network import Simnet
from tests.integration import plans
from tests.integration.stored import assert_true
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until

#: A server that says nothing is heard for so long.
LONG = ("--read-timeout", "60", "--total-timeout", "60")

#: Seconds that a process may need to leave once it has nothing left to do.
LEAVING = 20.0


def hits(log: Log, town: Simnet, folder: Path) -> set[tuple[str, int]]:
    """A scan's hits stand in the log; those that bannergrab takes."""
    scan = Worker(town, folder, *plans.scan(town, rate=5_000), *log.words, name="scan")
    assert scan.start().wait() == 0, scan.tail()
    records = [orjson.loads(value) for value, _ in log.read(log.topics.hits)]
    return {(r["ip"], r["port"]) for r in records if r["port"] not in town.spec.tls_ports}


def banners(log: Log) -> list[tuple[str, int]]:
    records = [orjson.loads(value) for value, _ in log.read(log.topics.banners)]
    return [(r["ip"], r["port"]) for r in records]


@pytest.mark.slow
@pytest.mark.parametrize(("deadline", "words"), [(30.0, ()), (2.0, LONG)], ids=["in time", "cut short"])
def test_a_drain_ends_within_its_deadline_and_loses_nothing(
    town: Simnet, log: Log, crew: Crew, tmp_path: Path, deadline: float, words: tuple[str, ...]
) -> None:
    """Positions are committed for what stands in the output only; the same command goes on with the rest."""
    wanted = hits(log, town, tmp_path)
    grab = crew.hire(
        Worker(town, tmp_path, "bannergrab", *plans.BANNERS, *words, "--drain-deadline", str(deadline), *log.words)
    )
    grab.start()
    until(lambda: grab.metric("longline_bannergrab_in_flight") > 1, "conversations are under way")
    began = time.monotonic()
    assert grab.stop() == 143, grab.tail()
    assert time.monotonic() - began < deadline + LEAVING
    first = banners(log)
    assert len(first) == len(set(first)), "done twice in one run"
    left = log.behind("bannergrab", [log.topics.hits])
    if words:
        assert left, "what was cut short must come again"
        assert "still in flight and are dropped" in grab.text
    other = Worker(town, tmp_path, "bannergrab", *plans.BANNERS, *log.words, name="again")
    crew.hire(other).start()
    crew.all_ready([other])
    until(lambda: not log.behind("bannergrab", [log.topics.hits]), "the rest is done")
    assert other.stop() == 143
    assert set(banners(log)) == wanted


@pytest.mark.slow
def test_run_is_interrupted_and_goes_on(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    """^C; the other tests of this file send SIGTERM."""
    store = f"sqlite:{tmp_path}/town.db"
    run = crew.hire(Worker(town, tmp_path, *plans.run(town, store, rate=3_000)))
    run.start()
    until(lambda: run.metric("longline_sink_documents_total") > 20, "something is stored")
    assert run.stop(signal.SIGINT) == 130, run.tail()
    assert "Traceback" not in run.text
    assert run.start().wait() == 0, run.tail()
    assert_true(town, store)


@pytest.mark.parametrize(
    ("words", "metric"),
    [
        (("bannergrab", *LONG, "--per-prefix", "0", "--drain-deadline", "60"), "longline_bannergrab_in_flight"),
        (("tlsgrab", "--per-prefix", "0", "--drain-deadline", "60", "--ports", "*"), "longline_tlsgrab_in_flight"),
        (("scan", "10.0.0.0/20", "-p", "80", "-r", "100", "-c", "60"), "longline_scanner_probes_sent_total"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_second_signal_leaves_at_once(
    town: Simnet, crew: Crew, tmp_path: Path, words: tuple[str, ...], metric: str
) -> None:
    """The first one waits: for servers that say nothing, for the cooldown."""
    silent = [e for e in town.expected() if e.outcome == "silent" or e.kind.name == "SILENT"]
    (tmp_path / "targets").write_text("".join(f"{e.ip}:{e.port}\n" for e in silent))
    worker = crew.hire(Worker(town, tmp_path, *words))
    with (tmp_path / "targets").open("rb") as targets, (tmp_path / "out").open("wb") as out:
        worker.start(stdin=targets, stdout=out)
    until(lambda: worker.metric(metric) > 1, "it works")
    worker.send(signal.SIGTERM)
    until(lambda: "once more leaves at once" in worker.text, "it has heard")
    assert worker.running
    worker.send(signal.SIGTERM)
    assert worker.wait(5) == 143
