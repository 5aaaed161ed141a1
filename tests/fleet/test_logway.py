"""Agents that reach their coordinator by a log, whatever is done to the log and to what stands in it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stages.core.bus.base import Output
from stages.core.errors import HostError, Unavailable, UsageError
from stages.fleet import ca, logserver, logway
from stages.fleet.envelope import Reply, Request, Signer, digest, moment, unproven
from stages.fleet.logway import place_of
from stages.fleet.messages import MAX_MESSAGE
from tests.fleet.broker import TOPICS, Broker
from tests.fleet.contract import WayContract, Ways
from tests.fleet.house import House, InHouse
from tests.fleet.material import NOW, work
from tests.fleet.test_agent import TRUTH, Hand, complete, ended, found, quick, until  # noqa: F401  (fixtures)


class OverLog(Ways):
    def __init__(self, broker: Broker) -> None:
        self.house, self.way = broker.house, broker.way  # type: ignore[method-assign]


@pytest.fixture
async def broker(house: House, tmp_path: Path) -> AsyncIterator[Broker]:
    made = Broker(house, tmp_path)
    made.serve()
    yield made
    await made.close()


class TestInMemory(WayContract):
    """The contract over a log in memory."""

    @pytest.fixture
    async def ways(self, broker: Broker) -> OverLog:
        return OverLog(broker)


class TestInAFile(WayContract):
    """The contract over a log in a SQLite file."""

    @pytest.fixture
    async def ways(self, house: House, tmp_path: Path) -> AsyncIterator[OverLog]:
        made = Broker(house, tmp_path, tmp_path / "log.db")
        made.serve()
        yield OverLog(made)
        await made.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("kafka://b:9093", ("kafka://b:9093", "longline")),
        ("kafka://b:9093,c:9093/", ("kafka://b:9093,c:9093", "longline")),
        ("kafka://b:9093/theirs", ("kafka://b:9093", "theirs")),
        ("sqlite:x.db", ("sqlite:x.db", "longline")),
    ],
)
def test_the_log_of_a_url(url: str, place: tuple[str, str]) -> None:
    assert place_of(url, "longline") == place


@pytest.mark.parametrize("url", ["kafka://", "kafka:///x", "kafka://b/x/y", "kafka://b/x y", "sqlite:", "https://b"])
def test_urls_of_no_log(url: str) -> None:
    with pytest.raises(UsageError, match="COORDINATOR"):
        place_of(url, "longline")


async def test_no_answer_is_a_coordinator_that_is_away(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logway, "ANSWER_SECONDS", 0.05)
    way = broker.way("alice")
    await broker.kill()
    with pytest.raises(Unavailable, match="no answer"):
        await way.post("/v1/check", b"")
    monkeypatch.setattr(logway, "ANSWER_SECONDS", 30.0)
    broker.serve()
    assert (await way.post("/v1/check", b""))[0] == 200
    assert not way._waiting


async def test_a_log_that_cannot_be_reached_is_the_same(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    way = broker.way("alice")
    with broker.bus.outage():
        monkeypatch.setattr(logway, "ANSWER_SECONDS", 0.05)
        with pytest.raises(Unavailable):
            await way.post("/v1/check", b"")
        monkeypatch.setattr(logway, "ANSWER_SECONDS", 30.0)
    assert (await way.post("/v1/check", b""))[0] == 200
    broker.bus.fail("publish")
    with pytest.raises(Unavailable):
        await way.post("/v1/check", b"")
    broker.bus.fail("poll")
    assert (await way.post("/v1/check", b""))[0] == 200


async def test_a_log_that_lets_us_in_no_more_ends_the_way(broker: Broker) -> None:
    way = broker.way("alice")
    assert (await way.post("/v1/check", b""))[0] == 200
    await broker.kill()
    asking = asyncio.create_task(way.post("/v1/check", b""))
    await until(lambda: way._waiting)
    broker.bus.fail("poll", error=HostError)
    way._tail.news.set()  # type: ignore[attr-defined]
    for answer in (asking, way.post("/v1/check", b"")):
        with pytest.raises(HostError, match="on demand"):
            await answer


async def test_what_is_larger_than_a_message_is_not_sent(broker: Broker) -> None:
    with pytest.raises(HostError, match="at most"):
        await broker.way("alice").post("/v1/results", b"x" * (MAX_MESSAGE + 1))


async def test_answers_of_others_are_no_answers(broker: Broker, tmp_path: Path) -> None:
    """Of another agent, of another authority, unsigned, to another question, in another box: none is taken."""
    house, way = broker.house, broker.way("alice")
    assert (await way.post("/v1/check", b""))[0] == 200
    await broker.kill()
    asking = asyncio.create_task(way.post("/v1/check", b""))
    await until(lambda: way._waiting)
    [asked] = way._waiting
    other = ca.Authority.make(tmp_path / "other", house.authority.certificate.not_valid_before_utc)
    other.server(ca.Identity(other.folder), ("localhost",), other.certificate.not_valid_before_utc)
    reply = Reply(box=way._box, to=asked, status=299)
    good = broker.signer.seal(reply, b"true")
    foreign = [
        broker.enrolled("bob").seal(reply, b"false"),
        Signer(ca.Identity(other.folder)).seal(reply, b"false"),
        good.rsplit(b".", 2)[0] + b"..",
        broker.signer.seal(reply.model_copy(update={"to": digest(b"another")}), b"false"),
        broker.signer.seal(reply.model_copy(update={"box": "0" * 32}), b"false"),
        good[:-3] + b"AAA",
        b"rubbish",
    ]
    publisher = broker.bus.publisher()
    await publisher.publish([Output(TOPICS.work, way._box.encode(), line) for line in (*foreign, good, good)])
    assert await asking == (299, b"true")


async def test_a_coordinator_whose_certificate_has_ended_is_none(broker: Broker) -> None:
    way = broker.way("alice")
    way._clock = lambda: NOW + 5 * 365 * 86_400
    asking = asyncio.create_task(way.post("/v1/check", b""))
    broker.house.now += 5 * 365 * 86_400
    with pytest.raises(HostError, match="not our coordinator: the certificate ended on"):
        await asking


async def test_a_clock_that_does_not_move_or_goes_back_is_no_matter(broker: Broker) -> None:
    way = broker.way("alice")
    for now in (NOW, NOW, NOW - 100, NOW + 1):
        way._clock = lambda now=now: now
        assert (await way.post("/v1/check", b""))[0] == 200
    assert broker.flawed("replayed") == 0


async def test_two_agents_do_a_scan_by_the_log(broker: Broker, tmp_path: Path) -> None:
    hands = [Hand(tmp_path / name, broker.way(name), alias=name) for name in ("alice", "bob")]  # type: ignore[arg-type]
    await complete(broker.house)
    for hand in hands:
        await hand.stop()
    assert sorted(found(broker.house)) == sorted(TRUTH)
    assert sorted(hands[0].scans.probed + hands[1].scans.probed) == list(range(1_024))


async def test_one_agent_serves_one_by_the_log_and_one_otherwise(
    broker: Broker, tmp_path: Path, authority: ca.Authority
) -> None:
    (tmp_path / "2").mkdir()
    second = House(tmp_path / "2", authority)
    await second.begin("alice", work=work())
    hand = Hand(tmp_path / "a", broker.way("alice"), InHouse(second, "alice"))  # type: ignore[arg-type]
    await complete(broker.house)
    await complete(second)
    await hand.stop()
    assert sorted(found(broker.house)) == sorted(found(second)) == sorted(TRUTH)
    assert set(hand.scans.rates) == {10.0}
    second.state.close()


async def test_whatever_fails_and_is_killed_the_log_has_the_truth(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator killed, its commits and its answers lost, what it has read read again."""
    rng, house = random.Random(6), broker.house
    monkeypatch.setattr(logway, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(logway, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(logserver, "RETRY_FIRST", 0.001)
    monkeypatch.setattr(logserver, "RETRY_CEILING", 0.01)
    hand = Hand(tmp_path / "a", broker.way("alice"))  # type: ignore[arg-type]
    kills = 0
    try:
        async with asyncio.timeout(60):
            while not house.coordinator.ledger.jobs["town"].ended:
                await asyncio.sleep(0.05)
                house.now += 0.5
                if agent := house.coordinator.ledger.agents.get("alice"):
                    agent.aside = 0.0
                fault = rng.choice(("kill", "commit", "publish", "poll", ""))
                if fault == "kill":
                    kills += 1
                    await broker.kill()
                    await house.restart()
                    broker.serve()
                elif fault:
                    broker.bus.fail(fault, after=rng.random() < 0.5 and fault != "poll")  # type: ignore[arg-type]
                await house.coordinator.tick()
    finally:
        await hand.kill()
    assert kills > 1
    assert set(found(house)) == TRUTH


async def test_enrolling_needs_no_clock_but_a_near_one(broker: Broker) -> None:
    stranger = broker.way(None)
    stranger._clock = lambda: NOW + 1_000
    status, body = await stranger.post("/v1/authority", b"")
    assert status == 503
    assert b"your clock is 1000 s ahead of the coordinator's" in body


async def test_a_request_is_signed_and_numbered(broker: Broker) -> None:
    way = broker.way("alice")
    await way.post("/v1/hello", b"{}")
    await way.post("/v1/lease", b"{}")
    [hello], [lease] = broker.bus.lines(TOPICS.agents), broker.bus.lines(TOPICS.claims)
    first, second = unproven(Request, hello).head, unproven(Request, lease).head
    assert (first.at, second.at) == (moment(NOW), moment(NOW) + 1)
    assert first.box == second.box
