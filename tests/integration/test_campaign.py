"""A campaign as its users run it: a process, its journal, a town whose services come and go."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.integration.campaigns import Field
from tests.integration.workers import Crew, until


def controls(town: Simnet) -> list[str]:
    return [f"{ip}:{port}" for ip, port, _ in list(town.truth.services())[:8]]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_paused_and_gone_on_with(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    rng = random.Random(6)
    field = Field(town, crew, tmp_path, full_every="20s", known_every="6s", controls=controls(town))
    there = {(ip, port) for ip, port, _ in town.truth.services() if port in town.spec.ports}
    field.conductor.start()
    until(lambda: field.turns(), "it has begun")
    for _ in range(5):  # anywhere
        field.conductor.kill()
        field.conductor.start()
        until(lambda: field.conductor.ready or not field.conductor.running, "it is there again")
        assert field.conductor.running, field.conductor.tail()
        try:
            until(lambda: False, "", rng.random() * 3)
        except AssertionError:
            pass
    field.until_complete("full")
    field.until_complete("known")
    assert field.hits("watch-full-000001") == there
    said = field.scans()["watch-full-000001"]["assessed"]
    assert said["counters"]["loss"] == 0.0, "nothing gets lost in this town"
    assert said["counters"]["loss_high"] < 0.15
    assert said["spec"]["healthy"] is True
    assert field.status()["known"] == len(there)

    field.say("pause", "watch")
    until(lambda: field.status()["state"] == "paused" and not field.status()["running"], "it is paused")
    turns = len(field.turns())
    field.conductor.kill()  # paused it stays, also over a restart
    field.conductor.start()
    until(lambda: field.conductor.ready, "it is there again")
    until(lambda: field.status()["late"] > 2, "something is due")
    assert len(field.turns()) == turns
    field.say("resume", "watch")
    field.until_complete("full")
    assert field.conductor.stop(signal.SIGTERM) == 143, field.conductor.tail()
    field.assert_nothing_twice_at_once()
    numbers = [turn.number for turn in field.turns() if turn.lane.kind == "full"]
    assert numbers == sorted(numbers)
    assert {turn.how for turn in field.turns()} <= {"complete", "killed", "paused", "refresh", "stopped"}
    assert "Traceback" not in field.conductor.text
