"""The emergency stop: the last packet to whom it is about leaves within five seconds, whatever sends, and nothing is
lost when the order is lifted. Each way on which orders come is tested alone: where one is, the others say nothing."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from stages.core.netset import NetSet
from stages.core.records import Hit
from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.fleet import Ground
from tests.integration.stopping import EVERYBODY, Operator, Sent
from tests.integration.stored import documents
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until

#: Half of the town.
LEAVE = "10.0.8.0/21"
#: sysexits(3) EX_TEMPFAIL.
ORDERED = 75


@pytest.fixture
def host(town: Simnet, tmp_path: Path, crew: Crew) -> Operator:
    """Orders to this host, by its file."""
    return Operator(town, tmp_path, crew, host=True)


@pytest.fixture
def by_log(town: Simnet, tmp_path: Path, crew: Crew, log: Log) -> Operator:
    """Orders by the topic of a Kafka broker."""
    return Operator(town, tmp_path, crew, *log.words)


def hits_in(file: Path) -> set[tuple[str, int]]:
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return {(record["ip"], record["port"]) for record in records if record["success"]}


def there(net: Simnet) -> set[tuple[str, int]]:
    return {(ip, port) for ip, port, _ in net.truth.services() if port in net.spec.ports}


@pytest.mark.slow
@pytest.mark.parametrize("order", [("--all",), ("--campaign", "weekly")], ids=["all", "campaign"])
@pytest.mark.parametrize("engine", ["packet", "connect"])
def test_a_scan_stops_and_goes_on_when_the_order_is_lifted(
    town: Simnet, crew: Crew, tmp_path: Path, host: Operator, engine: str, order: tuple[str, ...]
) -> None:
    words = ["scan", *plans.targets(town), "-r", "1500", "-c", "2", "-e", "1", "--scan", "weekly-7", "--engine", engine]
    words += ["-O", "hits", "-o", "hits.jsonl", "--checkpoint", "scan.checkpoint"]
    scan = crew.hire(Worker(town, tmp_path, *words, env=host.heard))
    with Sent(town, EVERYBODY) as sent:
        scan.start()
        sent.under_way()
        host.stop(*order)
        sent.last_within()
        assert scan.wait() == ORDERED, scan.tail()
        assert "Traceback" not in scan.text
        before = sent.value
        assert scan.start().wait() == ORDERED, "while the order stands it does not begin"
        assert f"longline stop --lift {' '.join(order)}" in scan.text
        assert sent.value == before
    host.stop(*order, "--lift")
    assert scan.start().wait() == 0, scan.tail()
    assert hits_in(tmp_path / "hits.jsonl") == there(town)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["packet", "connect"])
def test_a_prefix_is_left_alone_by_a_scan_that_goes_on(
    town: Simnet, crew: Crew, tmp_path: Path, host: Operator, engine: str
) -> None:
    words = ["scan", *plans.targets(town), "-r", "600", "-c", "2", "-e", "1", "--engine", engine, "-O", "hits"]
    scan = crew.hire(Worker(town, tmp_path, *words, "-o", "hits.jsonl", env=host.heard))
    with Sent(town, LEAVE) as sent:
        scan.start()
        sent.under_way()
        host.stop("--prefix", LEAVE)
        sent.last_within()
        assert scan.running, "it goes on elsewhere"
        assert scan.wait() == 0, scan.tail()


def targets_of(net: Simnet, folder: Path) -> Path:
    file = folder / "targets"
    file.write_text("".join(f"{ip}:{port}\n" for ip, port in sorted(there(net))))
    return file


#: Slow enough that there is much left, with long conversations.
GRAB = ("bannergrab", "-d", "http-req", "--wait", "1", "--per-host", "4", "--per-prefix", "0", "--max-rate", "40")


@pytest.mark.slow
def test_a_grab_holds_its_records_and_does_them_when_the_order_is_lifted(
    town: Simnet, crew: Crew, tmp_path: Path, host: Operator
) -> None:
    targets = targets_of(town, tmp_path)
    grab = crew.hire(Worker(town, tmp_path, *GRAB, env=host.heard))
    with Sent(town, EVERYBODY) as sent, targets.open("rb") as lines, (tmp_path / "out").open("wb") as out:
        grab.start(stdin=lines, stdout=out)
        sent.under_way()
        host.stop("--all")
        sent.last_within()
        assert grab.running
        assert grab.metric("longline_orders_standing") == 1
        host.stop("--all", "--lift")
        assert grab.wait() == 0, grab.tail()
    said = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert sorted((one["ip"], one["port"]) for one in said) == sorted(there(town))
    assert "blocked" not in {one["outcome"] for one in said}


@pytest.mark.slow
def test_a_grab_ends_what_is_under_way_with_a_stopped_prefix(
    town: Simnet, crew: Crew, tmp_path: Path, host: Operator
) -> None:
    targets = targets_of(town, tmp_path)
    grab = crew.hire(Worker(town, tmp_path, *GRAB, env=host.heard))
    with Sent(town, LEAVE) as sent, targets.open("rb") as lines, (tmp_path / "out").open("wb") as out:
        grab.start(stdin=lines, stdout=out)
        sent.under_way()
        host.stop("--prefix", LEAVE)
        sent.last_within()
        assert grab.wait() == 0, grab.tail()
    said = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert len(said) == len(there(town))
    assert {int(one["ip"].split(".")[2]) >= 8 for one in said if one["outcome"] == "blocked"} == {True}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_grab_puts_off_a_stopped_campaign_and_goes_on_with_another(
    town: Simnet, crew: Crew, tmp_path: Path, host: Operator
) -> None:
    """Half of the town is of the one, half of the other."""
    hits, out = tmp_path / "hits", tmp_path / "out"
    weekly = NetSet.parse([LEAVE], "test")
    hits.write_bytes(
        b"".join(
            Hit(scan="weekly-7" if ip in weekly else "daily", ts=1, ip=ip, port=port).dump() + b"\n"
            for ip, port in sorted(there(town))
        )
    )
    grab = crew.hire(Worker(town, tmp_path, *GRAB, env=host.heard))

    def daily() -> int:
        return sum(json.loads(line)["scan"] == "daily" for line in out.read_bytes().splitlines(keepends=True)[:-1])

    with Sent(town, LEAVE) as sent, hits.open("rb") as lines, out.open("wb") as file:
        grab.start(stdin=lines, stdout=file)
        sent.under_way()
        host.stop("--campaign", "weekly")
        before = daily()
        sent.last_within()
        assert daily() > before, "the other one goes on"
        assert grab.running
        host.stop("--campaign", "weekly", "--lift")
        assert grab.wait(150) == 0, grab.tail()
    said = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted((one["ip"], one["port"]) for one in said) == sorted(there(town))
    assert "blocked" not in {one["outcome"] for one in said}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["packet", "connect"])
def test_a_scan_that_talks_ends_its_conversations_and_has_them_again(
    town: Simnet, crew: Crew, tmp_path: Path, host: Operator, engine: str
) -> None:
    """By user-space TCP, and where that cannot be by ordinary connections."""
    words = ["scan", *plans.targets(town), "-r", "1200", "-c", "2", "-e", "1", "--engine", engine, "--grab", "http-req"]
    words += ["--wait", "2", "--read-timeout", "4", "-O", "hits", "-o", "out.jsonl", "--checkpoint", "scan.checkpoint"]
    scan = crew.hire(Worker(town, tmp_path, *words, env=host.heard))
    with Sent(town, EVERYBODY) as sent:
        scan.start()
        sent.under_way(1_000)
        host.stop("--all")
        sent.last_within()
        assert scan.wait() == ORDERED, scan.tail()
    host.stop("--all", "--lift")
    assert scan.start().wait() == 0, scan.tail()
    assert "Traceback" not in scan.text
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {(r["ip"], r["port"]) for r in records if r["kind"] == "banner"} == there(town)


@pytest.mark.slow
@pytest.mark.parametrize("order", [("--all",), ("--prefix", LEAVE)], ids=["all", "prefix"])
def test_user_space_tcp_is_ended_too_and_what_may_go_on_does(
    town: Simnet, crew: Crew, tmp_path: Path, host: Operator, order: tuple[str, ...]
) -> None:
    """The scan leaves its connections open, a grab goes on with them."""
    scan = [
        "scan",
        *plans.targets(town),
        "-r",
        "1200",
        "-c",
        "2",
        "-e",
        "1",
        "--hold",
        "--hold-time",
        "20",
        "-O",
        "hits",
    ]
    grab = ["bannergrab", "--via", "raw", "--max-hit-age", "60", "-d", "http-req", "--wait", "2", "--read-timeout", "4"]
    first = crew.hire(Worker(town, tmp_path, *scan, env=host.heard))
    then = crew.hire(Worker(town, tmp_path, *grab, "--per-host", "4", "--per-prefix", "0", env=host.heard))
    with Sent(town, order[-1] if "--prefix" in order else EVERYBODY) as sent, (tmp_path / "out").open("wb") as out:
        first.start(stdout=subprocess.PIPE)
        pipe = first.process.stdout
        assert pipe is not None
        then.start(stdin=pipe, stdout=out)
        pipe.close()
        until(lambda: then.metric("longline_bannergrab_connections_open") > 3, "they are talked with")
        host.stop(*order)
        sent.last_within()
        assert first.wait() == (ORDERED if "--all" in order else 0), first.tail()
        host.stop(*order, "--lift")
        assert then.wait() == 0, then.tail()
    assert "continued" not in then.text, "all went by user-space TCP until the order came"
    said = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert len(said) == len({(one["ip"], one["port"]) for one in said})
    assert {one["via"] for one in said} >= {"raw"}
    left = {one["outcome"] == "blocked" for one in said if 8 <= int(one["ip"].split(".")[2]) <= 15}
    assert True in left if "--prefix" in order else left == {False}


@pytest.mark.slow
def test_a_run_in_one_process_stops_by_its_own_file_and_goes_on(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}/town.db"
    operator = Operator(town, tmp_path, crew, "--bus", store)
    run = crew.hire(Worker(town, tmp_path, *plans.run(town, store, rate=800), env=operator.heard))
    with Sent(town, EVERYBODY) as sent:
        run.start()
        until(lambda: run.metric("longline_sink_documents_total") > 20, "something is stored")
        operator.stop("--all")
        sent.last_within()
        assert run.wait() == ORDERED, run.tail()
        before = sent.value
        assert run.start().wait() == ORDERED, "while the order stands it does not begin"
        assert sent.value == before
    operator.stop("--all", "--lift")
    assert run.start().wait() == 0, run.tail()
    assert "Traceback" not in run.text
    assert {(s["ip"], s["port"]) for s in documents(town, store, Collection.SERVICES)} == there(town)
    banners = documents(town, store, Collection.BANNERS)
    assert "blocked" not in {banner["outcome"] for banner in banners}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["packet", "connect"])
def test_the_coordinator_stops_every_agent(town: Simnet, crew: Crew, tmp_path: Path, engine: str) -> None:
    operator = Operator(town, tmp_path, crew, "--fleet-state", "fleet.db")
    ground = Ground(town, crew, tmp_path)
    agents = [ground.agent(alias, "--engine", engine, rate=600) for alias in ("alice", "bob")]
    with Sent(town, EVERYBODY) as sent:
        ground.submit("weekly-1")
        sent.under_way()
        operator.stop("--campaign", "weekly")
        sent.last_within()
        assert ground.scan("weekly-1")["state"] == "under way"
        operator.stop("--campaign", "weekly", "--lift")
        before = sent.value
        until(lambda: sent.value > before, "it goes on")
        operator.stop("--all")
        sent.last_within()
        operator.stop("--all", "--lift")
        until(lambda: ground.scan("weekly-1")["state"] == "complete", "the scan is complete", 120)
    ground.assert_true()
    ground.end(agents)


@pytest.mark.slow
def test_orders_by_the_log_reach_scanner_and_grabs(
    town: Simnet, crew: Crew, tmp_path: Path, by_log: Operator, log: Log, store: str
) -> None:
    plans.prepare(town, tmp_path, store)
    workers = plans.stages(crew, town, tmp_path, log.words, store, env=by_log.heard)
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    words = [*plans.scan(town, rate=600), *log.words, "--checkpoint", "scan.checkpoint"]
    scan = crew.hire(Worker(town, tmp_path, *words, name="scan", env=by_log.heard))
    with Sent(town, EVERYBODY) as sent:
        scan.start()
        sent.under_way()
        by_log.stop("--all")
        sent.last_within()
        assert scan.wait() == ORDERED, scan.tail()
        assert all(worker.running for worker in workers)
        late = crew.hire(Worker(town, tmp_path, *GRAB, *log.words, "--group", "late", name="late", env=by_log.heard))
        before = sent.value
        crew.all_ready([late.start()])
        time.sleep(1)
        assert sent.value == before, "and sends nothing either"
        assert late.stop() == 143
    by_log.stop("--all", "--lift")
    with Sent(town, LEAVE) as sent:
        scan.start()
        sent.under_way()
        by_log.say("optout", "add", LEAVE)
        sent.last_within()
        assert scan.wait() == 0, scan.tail()
    until(log.drained, "everything is stored")
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
        assert "Traceback" not in worker.text
