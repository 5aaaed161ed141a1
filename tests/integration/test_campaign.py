"""A campaign as its users run it: a process, its journal, a town whose services come and go."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from pathlib import Path

import pytest

from stages.core.routing import TLS_PORTS
from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration.campaigns import Field, controls
from tests.integration.fleet import Ground
from tests.integration.stored import documents
from tests.integration.workers import Crew, until


def anywhere(field: Field, share: float) -> bool:
    """Whether the scan that runs has come so far, or there is none."""
    try:
        held = [json.loads(file.read_text()) for file in (field.folder / "campaigns" / "watch").glob("*.checkpoint")]
    except FileNotFoundError:  # the sweep has just ended
        return True
    return all(checkpoint["position"] >= share * 10_000 for checkpoint in held)


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
        position = rng.random()
        until(lambda position=position: anywhere(field, position), "some of it is done", 30)
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


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_from_here_onto_a_log_and_from_an_agent(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path)
    agent = ground.agent("alice", "--grab", "banner", "--per-prefix", "0", rate=5_000)
    there = {(ip, port) for ip, port, _ in town.truth.services() if port in town.spec.ports}
    field = Field(
        town, crew, tmp_path, "--bus", ground.store, full_every="600s", known_every="20s", vantages=["local", "alice"],
        controls=controls(town), grabs=["banner"], agents_grab=True,
    )  # fmt: skip
    field.conductor.start()
    until(lambda: field.turns(), "it has begun")
    field.until_complete("full", 2, 200)
    for sweep in ("watch-full-000001", "watch-full-alice-000001"):
        assert field.hits(sweep) == there, sweep
    until(lambda: all("assessed" in field.scans()[f"watch-full-{at}000001"] for at in ("", "alice-")), "both are told")
    for sweep, vantage in (("watch-full-000001", "local"), ("watch-full-alice-000001", "alice")):
        said = field.scans()[sweep]["assessed"]
        assert (said["spec"]["vantage"], said["spec"]["healthy"]) == (vantage, True)
        assert said["counters"]["sample_found"] > 10
        assert said["counters"]["loss"] == 0.0
    grabbed = {(b["ip"], b["port"]) for b in documents(town, field.store, Collection.BANNERS) if "-full-" in b["scan"]}
    assert grabbed == {(ip, port) for ip, port in there if port not in TLS_PORTS}
    field.until_complete("known", 2, 200)
    events = {event["_id"]: (event["type"], event["ip"], event["port"]) for event in field.asked("events")}
    assert sorted(events.values()) == sorted(("service_up", ip, port) for ip, port in there)
    assert {event.id: (event.type, event.ip, event.port) for event in asyncio.run(field.told())} == events
    field.say("pause", "watch")
    until(lambda: not field.status()["running"], "it is paused")
    assert field.conductor.stop() == 143, field.conductor.tail()
    field.assert_nothing_twice_at_once()
    assert "Traceback" not in field.conductor.text
    ground.end([agent])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_service_goes_away_and_comes_back(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    field = Field(
        town, crew, tmp_path, full_every="600s", known_every="4s", known_slowest="4s", controls=controls(town)
    )
    there = sorted((ip, port) for ip, port, _ in town.truth.services() if port in town.spec.ports)
    asked = {tuple(text.rsplit(":", 1)) for text in controls(town)}
    ip, port = next(pair for pair in there if (pair[0], str(pair[1])) not in asked)
    field.conductor.start()
    until(lambda: field.turns(), "it has begun")
    field.until_complete("known")
    assert (field.status()["known"], field.status()["gone"]) == (len(there), 0)
    table = "inet away"
    drop = f"add table {table}; add chain {table} in {{ type filter hook prerouting priority -300; }}; "
    drop += f"add rule {table} in ip daddr {ip} tcp dport {port} drop"
    assert town.far_run(["nft", drop]).wait() == 0
    until(lambda: field.status()["gone"] == 1, "one is gone")
    until(lambda: field.asked("outages"), "it is down")
    [outage] = field.asked("outages")
    assert (outage["ip"], outage["port"], "up_at" in outage) == (ip, port, False)
    assert town.far_run(["nft", f"delete table {table}"]).wait() == 0
    until(lambda: field.status()["gone"] == 0, "and back")
    until(lambda: "up_at" in field.asked("outages")[0], "the outage has ended")
    assert field.status()["known"] == len(there)
    [outage] = field.asked("outages")
    assert outage["last_seen"] < outage["down_since"] < outage["up_at"]
    ups = [(event["ip"], event["port"]) for event in field.asked("events") if event["type"] == "service_up"]
    assert sorted(ups) == sorted([*there, (ip, port)]), "each is new once, and one is up again"
    assert field.conductor.stop() == 143, field.conductor.tail()
    assert "Traceback" not in field.conductor.text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_order_stops_its_sweeps_until_it_is_lifted(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    field = Field(town, crew, tmp_path, full_every="600s", scanner={"rate": 1_000})
    orders = ("stop", "--campaign", "watch", "--orders", "orders.jsonl")
    field.conductor.env["LONGLINE_ORDERS_FILE"] = str(tmp_path / "orders.jsonl")
    field.conductor.start()
    until(lambda: field.checkpoint() > 1_000, "it has begun")
    field.order(*orders)
    until(lambda: [turn.ended is None for turn in field.turns()] == [False], "the turn is over")
    until(lambda: field.status()["state"] == "stopped by order", "nothing runs")
    position = field.checkpoint()
    assert 0 < position < 12_288
    field.order(*orders, "--lift")
    field.until_complete("full")
    there = {(ip, port) for ip, port, _ in town.truth.services() if port in town.spec.ports}
    assert field.hits("watch-full-000001") == there
    assert field.conductor.stop() == 143, field.conductor.tail()
    assert "Traceback" not in field.conductor.text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_pause_calls_an_agents_slice_back(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path)
    agents = [ground.agent("alice", rate=500), ground.agent("bob", rate=500)]
    there = {(ip, port) for ip, port, _ in town.truth.services() if port in town.spec.ports}
    field = Field(town, crew, tmp_path, "--bus", ground.store, full_every="600s", vantages=["alice"], sample=0)
    field.conductor.start()
    sweep = "watch-full-alice-000001"
    until(lambda: ground.scan(sweep)["done"], "it has begun")
    field.say("pause", "watch")
    until(lambda: [turn.how for turn in field.turns()] == ["paused"], "the turn is over")
    done = ground.scan(sweep)["done"]
    assert 0 < done < 12_288
    field.say("resume", "watch")
    field.until_complete("full")
    assert [turn.how for turn in field.turns()] == ["paused", "complete"]
    seen = ground.scan(sweep)
    assert (seen["state"], seen["done"], seen["twice"]) == ("complete", 12_288, 0)
    assert field.hits(sweep) == there
    sent = {row["alias"]: row["sent"] for row in ground.seen()["table"]}
    assert sent["bob"] == 0, "it is kept for alice"
    assert field.conductor.stop() == 143, field.conductor.tail()
    assert "Traceback" not in field.conductor.text
    ground.end(agents)
