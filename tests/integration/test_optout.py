"""Somebody wants to be left alone: a line in the blocklist file holds within five seconds, for scan and grabs. No
packet follows, of a conversation under way neither."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stages.core.outcome import Outcome
from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.fleet import ASKED, MAY, Ground
from tests.integration.stopping import WITHIN, Sent
from tests.integration.stored import against_truth, assert_true, documents
from tests.integration.workers import Crew, Worker, until

#: Who asks: half of the town, so that many of its targets are still to come.
LEAVE = "10.0.8.0/21"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["packet", "connect"])
def test_no_connection_to_who_asked_after_five_seconds(town: Simnet, crew: Crew, tmp_path: Path, engine: str) -> None:
    blocklist = tmp_path / "blocklist"
    blocklist.write_text("# nobody yet\n")
    store = f"sqlite:{tmp_path}/town.db"
    words = [*plans.run(town, store, rate=1_000), "--engine", engine, "-b", str(blocklist)]
    run = crew.hire(Worker(town, tmp_path, *words))
    with Sent(town, LEAVE) as counter:
        run.start()
        until(lambda: run.metric("longline_sink_documents_total") > 20, "something is stored")
        assert counter.value > 0
        asked = int(time.time() * 1e6)
        blocklist.write_text(f"{LEAVE}  # asked us on {time.strftime('%Y-%m-%d')}\n")
        time.sleep(WITHIN)
        then = counter.value
        assert run.running
        assert run.metric("longline_scanner_probes_sent_total") < 12_288 * 3 / 4, "the scan is not over"
        assert run.wait() == 0, run.tail()
        assert counter.value == then, "who asked was met again"
    late = [d for d in documents(town, store, Collection.HITS) if d["ts"] > asked + WITHIN * 1e6]
    assert late, "the scan went on elsewhere"
    banners = documents(town, store, Collection.BANNERS)
    blocked = [d for d in banners if d["outcome"] == Outcome.BLOCKED]
    for document in (*late, *[d for d in banners if d["ts"] > asked + WITHIN * 1e6 and d not in blocked]):
        assert not 8 <= int(document["ip"].split(".")[2]) <= 15, document
    assert "Traceback" not in run.text


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["packet", "connect"])
def test_every_agent_of_a_fleet_leaves_them_alone_too(town: Simnet, crew: Crew, tmp_path: Path, engine: str) -> None:
    (tmp_path / "optout.txt").write_text("# nobody yet\n")
    ground = Ground(town, crew, tmp_path, "--optout", "optout.txt")
    agents = [ground.agent(alias, "--engine", engine, rate=400) for alias in ("alice", "bob")]
    with Sent(town, LEAVE) as counter:
        ground.submit()
        until(lambda: counter.value > 20, "they are met")
        ground.say("optout", "add", LEAVE)
        time.sleep(WITHIN)
        then = counter.value
        assert ground.scan()["state"] == "under way"
        ground.complete()
        assert counter.value == then, "who asked was met again"
    ground.end(agents)


@pytest.mark.slow
def test_an_agents_own_list_reaches_its_scan_and_its_grabs_while_they_run(
    town: Simnet, crew: Crew, tmp_path: Path
) -> None:
    (tmp_path / "block").write_text("# nobody yet\n")
    ground = Ground(town, crew, tmp_path)
    alice = ground.agent("alice", "--blocklist-file", "block", *MAY, rate=400)
    with Sent(town, LEAVE) as counter:
        ground.submit("town", *ASKED)
        until(lambda: counter.value > 200, "they are met")
        (tmp_path / "block").write_text(f"{LEAVE}  # my neighbours\n")
        time.sleep(WITHIN)
        then = counter.value
        assert ground.scan()["done"] < 12_288
        until(lambda: ground.scan()["waits_for"], "alice has done what she may")
        assert counter.value == then, "who is on her list was met again"
        assert ground.scan()["waits_for"] == "an agent that may scan it"
        bob = ground.agent("bob", *MAY)
        ground.complete()
        assert counter.value > then
    until(lambda: not against_truth(town, ground.store), "all is stored")
    assert_true(town, ground.store)
    ground.end([alice, bob])
