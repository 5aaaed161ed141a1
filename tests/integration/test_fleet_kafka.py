"""A fleet that reaches its coordinator by a broker and by nothing else: TLS, and who may read and write what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stages.core.bus.base import Topics
from stages.simnet.network import Simnet
from tests.integration.fleet import ASKED, MAY, ByLog, Ground
from tests.integration.stopping import EVERYBODY, Operator, Sent
from tests.integration.stored import against_truth, assert_true
from tests.integration.workers import Crew, Worker, until
from tests.servers.kafka_secure import SecureKafka

TOPICS = Topics("fleet")


@pytest.fixture(scope="module")
def broker(town: Simnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """On the near namespace's loopback, with the topics and the rights that docs/fleet.md names."""
    with SecureKafka(tmp_path_factory.mktemp("fleet-kafka"), town.joiner()) as server, ExitStack() as ending:
        folder = tmp_path_factory.mktemp("topics")
        bus = ("--bus", f"kafka://{server.bootstrap}", "--topic-prefix", TOPICS.prefix)
        apply = Worker(town, folder, "topics", "apply", *bus, metrics=False, env={"LONGLINE_BUS_PARTITIONS": "3"})
        assert apply.start().wait() == 0, apply.tail()
        for topic in (TOPICS.agents, TOPICS.claims):
            server.allow_on("coordinator", "--topic", topic, "READ")
            server.allow_on("friends", "--topic", topic, "WRITE")
        server.allow_on("coordinator", "--topic", TOPICS.work, "WRITE")
        server.allow_on("coordinator", "--group", f"{TOPICS.prefix}.coordinator", "READ")
        server.allow_on("friends", "--topic", TOPICS.work, "READ")
        ending.callback(server.stop)
        yield server


def by(broker: SecureKafka) -> ByLog:
    def environment(name: str) -> dict[str, str]:
        told = broker.by_certificate(name)
        return {f"LONGLINE_BUS_{key.upper()}": value for key, value in told.items() if key != "url"}

    url = f"kafka://localhost:{broker.mutual}/{TOPICS.prefix}"
    return ByLog(url, environment("coordinator"), environment("friends"))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_scan_by_a_broker_with_agents_and_coordinators_killed(
    town: Simnet, broker: SecureKafka, crew: Crew, tmp_path: Path
) -> None:
    ground = Ground(town, crew, tmp_path, by=by(broker))
    standby = ground.another("standby").start()
    until(lambda: "standing by" in standby.text, "the second coordinator stands by")
    agents = [ground.agent(f"agent{n}", rate=300) for n in range(2)]
    ground.submit()
    until(lambda: ground.scan()["done"], "the scan has begun")
    checked = ground.say("agent", ground.url, "--check", "--folder", "agent0")
    assert [line.split()[0] for line in checked.splitlines()] == ["pass", "pass"], checked
    agents[0].kill()
    agents[0].start()
    ground.coordinator.kill()
    until(lambda: standby.ready, "the second coordinator has taken over")
    done = ground.scan()["done"]
    until(lambda: ground.scan()["done"] > done, "the scan goes on")
    standby.kill()
    ground.coordinator.start()
    until(lambda: ground.coordinator.ready, "the first coordinator is back")
    seen = ground.complete(200)
    assert seen["done"] == seen["targets"]
    table = ground.seen()["table"]
    assert all(row["slices"] for row in table), table
    ground.assert_true()
    ground.say("fleet", "revoke", "agent1")
    assert agents[1].wait() == 1
    assert "revoked" in agents[1].text
    ground.end(agents[:1])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_agents_that_grab_stop_within_seconds_and_all_is_done_when_it_is_lifted(
    town: Simnet, broker: SecureKafka, crew: Crew, tmp_path: Path
) -> None:
    ground = Ground(town, crew, tmp_path, by=by(broker))
    operator = Operator(town, tmp_path, crew, "--fleet-state", "fleet.db")
    agents = [ground.agent(alias, *MAY, rate=300) for alias in ("alice", "bob")]
    with Sent(town, EVERYBODY) as sent:
        ground.submit("town", *ASKED)
        sent.under_way(500)
        operator.stop("--all")
        sent.last_within()
        assert ground.scan()["state"] == "under way"
        operator.stop("--all", "--lift")
        assert ground.complete(200)["done"]
    until(lambda: not against_truth(town, ground.store), "all is stored")
    assert_true(town, ground.store)
    ground.end(agents)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_broker_that_goes_away_loses_nothing(town: Simnet, broker: SecureKafka, crew: Crew, tmp_path: Path) -> None:
    ground = Ground(town, crew, tmp_path, by=by(broker), timeout=60)
    agent = ground.agent("alice", rate=1_000)
    ground.submit()
    until(lambda: ground.scan()["done"], "the scan has begun")
    broker.restart()
    seen = ground.complete(200)
    assert (seen["done"], seen["twice"]) == (seen["targets"], 0)
    ground.assert_true()
    ground.end([agent])
