"""A coordinator and agents as their users run them: processes, certificates, real scans, against what is there.

Whatever is done to them the union of their slices is exact, and what is stored is the truth.
"""

from __future__ import annotations

import json
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.chaos.experiments import coordinator_killed
from tests.integration.fleet import Ground
from tests.integration.workers import Crew, Worker, until
from tests.servers.site import site


@pytest.mark.slow
def test_five_agents_of_different_speed(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path)
    agents = [ground.agent(f"agent{n}", rate=60 * (n + 1)) for n in range(5)]
    ground.submit()
    seen = ground.complete()
    assert (seen["done"], seen["twice"]) == (seen["targets"], 0)
    table = ground.seen()["table"]
    assert sum(row["sent"] for row in table) >= seen["targets"], "besides there are samples"
    assert all(row["slices"] for row in table), table
    ground.assert_true()
    ground.end(agents)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_frozen_and_returning_agents_and_a_coordinator_killed_ten_times(
    town: Simnet, crew: Crew, tmp_path: Path
) -> None:
    assert coordinator_killed(town, crew, tmp_path, random.Random(4), 10).numbers["kills"] == 10


@pytest.mark.slow
def test_what_one_agent_may_not_scan_is_done_by_another(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path)
    (tmp_path / "block").write_text("10.0.3.0/24\n10.0.9.0/25\n")
    shy = ground.agent("shy", "--blocklist-file", "block")
    ground.submit()
    until(lambda: ground.scan()["done"] == 12_288, "all positions are done")
    assert ground.scan()["state"] == "under way"
    bold = ground.agent("bold")
    ground.complete()
    table = {row["alias"]: row for row in ground.seen()["table"]}
    assert table["shy"]["sent"] == 12_288 - 3 * (256 + 128)
    assert table["bold"]["sent"] >= 3 * (256 + 128)
    assert [row["why"] for row in table.values()] == ["", ""], "what was left out on purpose is held against nobody"
    ground.assert_true()
    ground.end([shy, bold])


@pytest.mark.slow
def test_a_revoked_agent_and_a_stopped_scan(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path)
    mallory, alice = ground.agent("mallory", rate=100), ground.agent("alice", rate=100)
    ground.submit()
    until(lambda: ground.seen()["agents"]["executing"] == 2, "both are at work")
    ground.say("fleet", "revoke", "mallory")
    assert mallory.wait() == 1
    assert "revoked" in mallory.text
    ground.say("campaign", "stop", "town", "--reason", "an abuse mail")
    until(lambda: "told to stop: the scan was stopped: an abuse mail" in alice.text, "alice has heard of it")
    until(lambda: ground.seen()["agents"]["online"] == 1, "alice is at rest")
    assert ground.scan()["state"] == "stopped"
    assert ground.scan()["done"] < ground.scan()["targets"]
    mallory.start()
    assert mallory.wait() == 1
    ground.end([alice])


@pytest.mark.slow
def test_an_agent_goes_on_while_its_coordinator_is_away(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path, timeout=60)
    alice = ground.agent("alice", "--keep", "kept.jsonl", rate=3_000)
    ground.submit()
    until(lambda: ground.seen()["agents"]["executing"], "alice is at work")
    way = ground.say("agent", ground.url, "--check", "--folder", "alice")
    assert [line.split()[0] for line in way.splitlines()] == ["pass", "pass"], way
    ground.coordinator.kill()
    until(lambda: "results written" in alice.text, "the slice is scanned")
    ground.coordinator.start()
    seen = ground.complete()
    assert seen["twice"] == 0
    ground.assert_true()
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert len({(hit["ip"], hit["port"]) for hit in kept}) == seen["hits"]
    ground.end([alice])


@pytest.mark.slow
def test_friends_of_friends_two_coordinators_share_four_agents(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    first, second = Ground(town, crew, tmp_path / "a"), Ground(town, crew, tmp_path / "b")
    agents = []
    for n in range(4):
        folder = tmp_path / f"friend{n}"
        for ground in (first, second):
            token = ground.say("fleet", "enrol", f"friend{n}").strip()
            words = ("agent", ground.url, "--folder", folder, "--enrol", "--token", token)
            assert Worker(town, tmp_path, *words, name="enrol", metrics=False).start().wait() == 0
        words = ("agent", first.url, second.url, "--folder", folder, "--max-rate", "1500", "--allowlist-file")
        agent = Worker(town, tmp_path, *words, tmp_path / "a" / "allow", name=f"friend{n}", metrics=False)
        agents.append(crew.hire(agent).start())
    for ground in (first, second):
        ground.submit()
    for ground in (first, second):
        seen = ground.complete()
        assert (seen["done"], seen["twice"]) == (seen["targets"], 0)
        ground.assert_true()
    for agent in agents:
        assert agent.stop() == 143, agent.tail()
    for ground in (first, second):
        ground.end([])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_distant_sites_with_delay_and_loss_and_one_that_is_cut_off(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    paths = ({"delay": 0.02, "loss": 0.01}, {"delay": 0.15, "loss": 0.03}, {"delay": 0.005})
    with ExitStack() as stack:
        sites = [stack.enter_context(site(town, n, seed=n, **faults)) for n, faults in enumerate(paths)]
        patient = ("--max-syn-per-target", "5")
        ground = Ground(town, crew, tmp_path, hosts=[there.home for there in sites])
        agents = [ground.agent(f"agent{n}", *patient, rate=250, there=there) for n, there in enumerate(sites)]
        ground.submit(retries=4, retry_interval=1)
        until(lambda: ground.seen()["agents"]["executing"] == 3, "all are at work")
        sites[2].cut()  # in the middle of its slice: it sends on, and neither answers nor orders come
        until(lambda: any(line["event"] == "lost" for line in ground.trace()), "its slice is taken back")
        sites[2].mend()
        seen = ground.complete(200)
        assert seen["done"] == seen["targets"]
        ground.assert_true()
        ground.end(agents)
