"""Agents that grab too: what is stored is what stands there, whoever may grab, and whoever is killed over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.integration.fleet import ASKED, MAY, Ground
from tests.integration.stored import against_truth, assert_true
from tests.integration.workers import Crew, until


@pytest.mark.slow
def test_one_agent_may_grab_and_one_may_not(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path)
    shy = ground.agent("shy")
    ground.submit("town", *ASKED)
    until(lambda: ground.scan().get("waits_for"), "it is told what the scan waits for")
    assert ground.scan()["waits_for"] == "an agent that grabs banner"
    assert "an agent that grabs banner" in ground.say("campaign", "status")
    bold = ground.agent("bold", *MAY)
    seen = ground.complete()
    assert (seen["done"], seen["twice"], seen["waits_for"]) == (seen["targets"], 0, "")
    table = {row["alias"]: row for row in ground.seen()["table"]}
    assert table["bold"]["grabs"] == "banner,tls"
    assert table["shy"]["grabs"] == ""
    until(lambda: not against_truth(town, ground.store), "all is stored")
    assert_true(town, ground.store)
    ground.end([shy, bold])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_agent_killed_in_the_middle_of_its_slices(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path)
    agents = [ground.agent(alias, *MAY, rate=400) for alias in ("alice", "bob")]
    ground.submit("town", *ASKED)
    for kill in range(4):
        before = ground.scan()["done"]
        until(lambda before=before: ground.scan()["done"] > before, "it goes on")
        agents[kill % 2].kill()
        agents[kill % 2].start()
    assert ground.scan()["state"] == "under way"
    seen = ground.complete(200)
    assert seen["done"] == seen["targets"]
    until(lambda: not against_truth(town, ground.store), "all is stored")
    assert_true(town, ground.store)
    ground.end(agents)
