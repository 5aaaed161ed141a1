"""Agents and a coordinator that talk without sockets: whatever goes wrong between them, the log has the truth."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from stages.core.errors import HostError, Unavailable, UsageError
from stages.core.hours import Hours
from stages.core.netset import NetSet
from stages.core.orders import Order, Standing
from stages.core.records import Hit, parse
from stages.fleet import agent as agents
from stages.fleet import ca
from stages.fleet import link as links
from stages.fleet.agent import Agent
from stages.fleet.https import Client, Server
from stages.fleet.link import Link, Way, enrol
from stages.fleet.messages import Capabilities
from stages.fleet.policy import LocalPolicy
from stages.fleet.spool import Spool
from stages.fleet.work import BannerGrab
from tests.fleet.house import House, InHouse, Scans
from tests.fleet.material import NOW, can, work


def odd(position: int) -> bool:
    return position % 3 == 1


CAN = can()
TRUTH = {n for n in range(1_024) if odd(n)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "BEAT", 0.02)
    monkeypatch.setattr(links, "RETRY_FIRST", 0.001)
    monkeypatch.setattr(links, "RETRY_CEILING", 0.005)
    monkeypatch.setattr(agents, "PAUSE", 0.01)
    monkeypatch.setattr("stages.fleet.ledger.WAIT", 0.01)


@pytest.fixture
async def house(tmp_path: Path, authority: ca.Authority) -> AsyncIterator[House]:
    made = House(tmp_path, authority)
    await made.begin("alice", "bob", work=work())
    yield made
    made.state.close()


#: Those that a test has begun and not ended: a test that fails must not wait for them.
BEGUN: list[Hand] = []


@pytest.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    yield
    for hand in BEGUN:
        hand.task.cancel()
    await asyncio.gather(*(hand.task for hand in BEGUN), return_exceptions=True)
    BEGUN.clear()


class Hand:
    """An agent, its scans and its spool."""

    def __init__(
        self,
        folder: Path,
        *ways: Way,
        alias: str = "alice",
        policy: LocalPolicy | None = None,
        scans: Scans | None = None,
        hour: Callable[[], int] = lambda: 12,
        clock: Callable[[], float] = lambda: NOW,
        can: Capabilities = CAN,
        process: str = "",
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.scans = scans or Scans(alias, odd)
        self.spool = Spool(folder / "spool.db")
        self.agent = Agent(
            alias, ways, self.scans, self.spool, policy or LocalPolicy(10.0, probes=frozenset({"tcp_synscan"})), can,
            folder=folder, topics=("t.hits.v1",), clock=clock, hour=hour, process=process,
        )  # fmt: skip
        self.stopping = asyncio.Event()
        self.task = asyncio.create_task(self.agent.run(self.stopping))
        BEGUN.append(self)

    async def stop(self) -> None:
        self.stopping.set()
        try:
            await asyncio.wait_for(self.task, 30)
        finally:
            self.spool.close()

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.spool.close()


def found(house: House) -> list[int]:
    hits = [parse(line) for line in house.hits()]
    numbers = []
    for one in hits:
        assert isinstance(one, Hit)
        _, _, c, d = map(int, one.ip.split("."))
        numbers.append((c << 8) + d)
    return numbers


#: Looks without sleeping.
SPINS = 200


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        spins = 0
        while not condition():
            # At the earliest moment, at first: some want to meet what has just begun. But a loop that never sleeps
            # keeps the interpreter from the threads that write the files, at worst for 5 ms a statement.
            await asyncio.sleep(0 if (spins := spins + 1) < SPINS else 0.01)


async def complete(house: House, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not house.coordinator.ledger.jobs["town"].ended:
            await asyncio.sleep(0.005)
            await house.coordinator.tick()


async def test_an_agent_does_a_scan(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    await complete(house)
    await hand.stop()
    assert sorted(found(house)) == sorted(TRUTH)
    assert sorted(hand.scans.probed) == list(range(1_024))
    assert house.coordinator.ledger.agents["alice"].sent == 1_024
    assert house.coordinator.ledger.status(house.coordinator.ledger.agents["alice"], house.now) == "online"


async def test_two_agents_share_it_and_nothing_is_done_twice(house: House, tmp_path: Path) -> None:
    hands = [Hand(tmp_path / name, InHouse(house, name), alias=name) for name in ("alice", "bob")]
    await complete(house)
    for hand in hands:
        await hand.stop()
    assert sorted(found(house)) == sorted(TRUTH)
    assert all(hand.scans.probed for hand in hands)
    assert sorted(hands[0].scans.probed + hands[1].scans.probed) == list(range(1_024))


async def test_the_next_slice_is_sent_while_others_only_listen(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "LOOK", 0.01)
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.cooldown = asyncio.Event()
    await until(lambda: hand.scans.listening == agents.LISTENING + 1)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(hand.scans.rates) == agents.LISTENING + 1  # and no more are asked for
    hand.scans.cooldown.set()
    await complete(house)
    await hand.stop()
    assert hand.scans.most_sending == 1
    assert sorted(hand.scans.probed) == list(range(1_024))
    assert sorted(found(house)) == sorted(TRUTH)


async def test_a_line_that_fails_before_and_after_loses_nothing(house: House, tmp_path: Path) -> None:
    rng = random.Random(3)

    def fault() -> str:
        return rng.choice(("", "", "before", "after"))

    hand = Hand(tmp_path / "a", InHouse(house, "alice", fault))
    try:
        async with asyncio.timeout(20):
            while not house.coordinator.ledger.jobs["town"].ended:
                await asyncio.sleep(0.002)
                house.now += 0.05  # leases whose answer was lost run out
                house.coordinator.ledger.agents.get("alice") and setattr(
                    house.coordinator.ledger.agents["alice"], "aside", 0.0
                )
                await house.coordinator.tick()
    finally:
        await hand.kill()
    assert set(found(house)) == TRUTH


async def test_a_coordinator_is_greeted_once(house: House, tmp_path: Path) -> None:
    """Whoever comes first, who asks or who hands over: a second greeting would give back what came after the first."""
    way, spool = InHouse(house, "alice"), Spool(tmp_path / "s.db")
    link = Link(way, spool, CAN, lambda: NOW)
    await asyncio.gather(link.hello(), link.hello(), link.lease())
    said = [change.body["event"] for change in house.state.things("trace") if change.body]
    assert (said.count("hello"), said.count("leased"), said.count("returned")) == (1, 1, 0)
    spool.close()


async def test_a_coordinator_that_is_killed_again_and_again(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    kills = 0
    async with asyncio.timeout(20):
        while not house.coordinator.ledger.jobs["town"].ended:
            await asyncio.sleep(0.01)
            await house.restart()
            kills += 1
            house.now += 1
            await house.coordinator.tick()
    await hand.stop()
    assert kills > 3
    assert set(found(house)) == TRUTH


async def test_while_the_coordinator_is_away_the_scan_goes_on_and_what_it_finds_waits(
    house: House, tmp_path: Path
) -> None:
    away = asyncio.Event()
    hand = Hand(tmp_path / "a", InHouse(house, "alice", lambda: "before" if away.is_set() else ""))
    await until(lambda: hand.scans.probed)
    away.set()
    await until(lambda: hand.agent.slices and hand.spool.bytes)
    assert max(hand.scans.probed) >= 199
    away.clear()
    await complete(house)
    await hand.stop()
    assert sorted(found(house)) == sorted(TRUTH)


async def test_what_a_killed_agent_had_spooled_is_handed_over_by_its_successor(house: House, tmp_path: Path) -> None:
    away = asyncio.Event()
    first = Hand(tmp_path / "a", InHouse(house, "alice", lambda: "before" if away.is_set() else ""))
    await until(lambda: first.scans.probed)
    away.set()
    await until(lambda: first.agent.slices)
    await first.kill()
    wanted = {n for n in TRUTH if n < 200}
    assert not wanted <= set(found(house))
    second = Hand(tmp_path / "a", InHouse(house, "alice"), scans=Scans("alice", lambda n: False))
    second.scans.hold = asyncio.Event()
    await until(lambda: wanted <= set(found(house)))
    assert sorted(set(found(house))) == sorted(found(house))
    await second.kill()


async def test_a_lease_that_was_lost_ends_its_scan_and_is_done_by_another(house: House, tmp_path: Path) -> None:
    slow = Hand(tmp_path / "a", InHouse(house, "alice"))
    slow.scans.hold = asyncio.Event()
    await until(lambda: slow.scans.probed)
    [held] = house.coordinator.ledger.leases.values()
    held.deadline = 0.0
    house.coordinator.ledger.expire(NOW)
    house.coordinator.ledger.agents["alice"].aside = NOW + 1e9
    quick = Hand(tmp_path / "b", InHouse(house, "bob"), alias="bob")
    await complete(house)
    await until(lambda: slow.agent.slices)
    assert await slow.spool.first("https://house:46001") is None
    for hand in (slow, quick):
        await hand.stop()
    assert set(found(house)) == TRUTH


async def test_what_it_may_not_scan_is_left_out_and_waits_for_another(house: House, tmp_path: Path) -> None:
    forbidden = NetSet.parse(["10.0.1.0/24"], "test")
    mine = LocalPolicy(10.0, forbidden, frozenset({"tcp_synscan"}))
    shy = Hand(tmp_path / "a", InHouse(house, "alice"), policy=mine)
    await until(lambda: house.coordinator.ledger.jobs["town"].positions == 1_024)
    assert not [n for n in shy.scans.probed if 256 <= n < 512]
    assert not house.coordinator.ledger.jobs["town"].ended
    other = Hand(tmp_path / "b", InHouse(house, "bob"), alias="bob")
    await complete(house)
    assert sorted(other.scans.probed) == list(range(256, 512))
    for hand in (shy, other):
        await hand.stop()
    assert sorted(found(house)) == sorted(TRUTH)


async def test_no_rate_is_forced_and_a_lower_one_is_kept(tmp_path: Path, authority: ca.Authority) -> None:
    house = House(tmp_path, authority)
    await house.begin("alice", work=work(max_rate=1e6))
    hand = Hand(tmp_path / "a", InHouse(house, "alice"), policy=LocalPolicy(4.0, probes=frozenset({"tcp_synscan"})))
    await complete(house)
    await hand.stop()
    assert set(hand.scans.rates) == {4.0}
    house.state.close()


async def test_a_slice_that_it_will_not_do_goes_back_with_the_reason(house: House, tmp_path: Path) -> None:
    shy = LocalPolicy(10.0, probes=frozenset({"tcp_synscan"}), ports=frozenset({443}))
    hand = Hand(tmp_path / "a", InHouse(house, "alice"), policy=shy)
    await until(lambda: any(part.refused for part in house.coordinator.ledger.parts.values()))
    await hand.stop()
    assert not hand.scans.probed
    said = [change.body for change in house.state.things("trace") if change.body and change.body["event"] == "refused"]
    assert "port 80 is not scanned from here" in said[0]["detail"]


async def test_another_layout_scans_nothing(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"), scans=Scans("alice", odd, digest="f" * 32))
    agents_ = house.coordinator.ledger.agents
    await until(lambda: "alice" in agents_ and agents_["alice"].aside)
    await hand.stop()
    assert not hand.scans.probed


async def test_outside_of_its_hours_it_asks_for_nothing_and_stops_within(house: House, tmp_path: Path) -> None:
    hour = [3]
    nightly = LocalPolicy(10.0, probes=frozenset({"tcp_synscan"}), hours=Hours(22, 6))
    hand = Hand(tmp_path / "a", InHouse(house, "alice"), policy=nightly, hour=lambda: hour[0])
    hand.scans.hold = asyncio.Event()
    await until(lambda: hand.scans.probed)
    hour[0] = 12
    await until(lambda: not house.coordinator.ledger.leases)
    probed = len(hand.scans.probed)
    await asyncio.sleep(0.1)
    assert len(hand.scans.probed) == probed < 1_024
    await hand.stop()


async def test_told_to_stop_it_sends_no_more(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.hold = asyncio.Event()
    await until(lambda: hand.scans.probed)
    house.state.ask("stop", {"scan": "town", "reason": "an abuse mail"})
    await house.coordinator.tick()
    await until(lambda: not house.coordinator.ledger.leases)
    assert len(hand.scans.probed) < 1_024
    await hand.stop()


def campaign(name: str) -> Standing:
    return Standing((Order("stop", "campaign", name),))


async def test_a_campaign_that_its_host_stops_goes_back_and_is_its_own_again_when_that_is_lifted(
    house: House, tmp_path: Path
) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.hold = asyncio.Event()
    await until(lambda: hand.scans.probed)
    hand.agent.heed(campaign("town"))
    await until(lambda: not house.coordinator.ledger.leases)
    hand.scans.hold = None
    house.state.ask("submit", work(scan="other").model_dump(mode="json"))
    await house.coordinator.tick()
    await until(lambda: house.coordinator.ledger.jobs["other"].ended)
    assert not house.coordinator.ledger.jobs["town"].ended
    assert not any(part.refused for part in house.coordinator.ledger.parts.values())
    ends = [change.body["event"] for change in house.state.things("trace") if change.body]
    assert ends.count("returned") <= 2, "it does not ask for it again and again"
    hand.agent.heed(Standing())
    await complete(house)
    await hand.stop()


async def test_a_campaign_that_its_host_has_stopped_before_is_given_back_unbegun(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.agent.heed(campaign("town"))
    trace = house.state.things
    await until(lambda: "returned" in [change.body["event"] for change in trace("trace") if change.body])
    for _ in range(200):
        await asyncio.sleep(0)
    assert [change.body["event"] for change in trace("trace") if change.body].count("leased") == 1
    assert not hand.scans.probed
    hand.agent.heed(Standing())
    await complete(house)
    await hand.stop()
    assert sorted(hand.scans.probed) == list(range(1_024))


async def test_a_second_process_with_its_folder_sends_the_first_one_away(house: House, tmp_path: Path) -> None:
    first = Hand(tmp_path / "a", InHouse(house, "alice"), process="1" * 32)
    await until(lambda: first.scans.probed)
    second = Hand(tmp_path / "b", InHouse(house, "alice"), process="2" * 32)
    with pytest.raises(HostError, match="alias in use"):
        await asyncio.wait_for(first.task, 30)
    first.spool.close()
    await complete(house)
    await second.stop()
    assert set(found(house)) == TRUTH


async def test_a_scan_that_fails_here_is_given_back(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.fails = True
    await until(lambda: hand.agent.slices >= 2)
    hand.scans.fails = False
    await complete(house)
    await hand.stop()
    assert set(found(house)) == TRUTH


async def test_a_revoked_agent_ends_and_says_why(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.hold = asyncio.Event()
    await until(lambda: hand.scans.probed)
    house.state.revoke("alice", NOW)
    await house.coordinator.tick()
    with pytest.raises(HostError, match="revoked"):
        await asyncio.wait_for(hand.task, 30)
    hand.spool.close()


async def test_friends_of_friends_one_agent_serves_two_coordinators(
    house: House, tmp_path: Path, authority: ca.Authority
) -> None:
    (tmp_path / "2").mkdir()
    second = House(tmp_path / "2", authority)
    await second.begin("alice", work=work())
    way = InHouse(second, "alice")
    way.url = "https://second:46001"
    hand = Hand(tmp_path / "a", InHouse(house, "alice"), way)
    await complete(house)
    await complete(second)
    await hand.stop()
    assert sorted(found(house)) == sorted(found(second)) == sorted(TRUTH)
    assert set(hand.scans.rates) == {10.0}
    second.state.close()


async def test_one_coordinator_that_is_away_does_not_keep_the_other_waiting(house: House, tmp_path: Path) -> None:
    away = InHouse(house, "bob", lambda: "before")
    away.url = "https://away:46001"
    hand = Hand(tmp_path / "a", away, InHouse(house, "alice"))
    await complete(house)
    await hand.stop()
    assert sorted(found(house)) == sorted(TRUTH)


async def test_who_opts_out_is_left_alone_by_the_slice_under_way_and_by_those_to_come(
    house: House, tmp_path: Path
) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.hold = asyncio.Event()
    await until(lambda: hand.scans.probed)
    house.coordinator.leave_alone(["10.0.0.100-10.0.1.255"])
    await until(lambda: hand.agent.links[0].optouts)
    hand.scans.hold.set()
    await complete(house)
    assert sorted(hand.scans.probed) == [n for n in range(1_024) if not 100 <= n < 512]
    house.coordinator.leave_alone([])
    await until(lambda: not hand.agent.links[0].optouts)
    await hand.stop()


async def test_its_own_lists_hold_at_once_and_what_they_name_is_given_to_another(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.hold = asyncio.Event()
    await until(lambda: hand.scans.probed)
    assert max(hand.scans.probed) < 20
    hand.scans.lingers = 2  # what it leaves out of these, nobody was told of
    hand.agent.forbid(NetSet.parse(["10.0.0.20-10.0.1.255"], "test"))
    await until(lambda: house.coordinator.ledger.jobs["town"].positions == 1_024)
    assert set(hand.scans.probed) == {n for n in range(1_024) if not 20 <= n < 512}
    ends = [change.body["event"] for change in house.state.things("trace") if change.body]
    assert "returned" in ends, "the slice under way ends where nobody had been told of it"
    assert not house.coordinator.ledger.jobs["town"].ended
    hand.agent.forbid(NetSet())
    other = Hand(tmp_path / "b", InHouse(house, "bob"), alias="bob")
    await complete(house)
    assert sorted(other.scans.probed) == list(range(20, 512))
    for one in (hand, other):
        await one.stop()
    assert set(found(house)) == TRUTH


async def test_lists_that_name_nobody_of_the_slice_do_not_end_it(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.hold = asyncio.Event()
    await until(lambda: hand.scans.probed)
    hand.agent.forbid(NetSet.parse(["192.0.2.0/24"], "test"))
    hand.scans.hold.set()
    await complete(house)
    await hand.stop()
    assert sorted(hand.scans.probed) == list(range(1_024))
    assert sorted(found(house)) == sorted(TRUTH)
    ends = [change.body["event"] for change in house.state.things("trace") if change.body]
    assert "returned" not in ends


async def test_a_work_with_grabs_that_it_was_given_all_the_same_goes_back_with_the_reason(
    tmp_path: Path, authority: ca.Authority
) -> None:
    house = House(tmp_path, authority)
    await house.begin("alice", "bob", work=work(banner=BannerGrab()))
    liar = Hand(tmp_path / "a", InHouse(house, "alice"), can=can(grabs=("banner",)))
    await until(lambda: any(part.refused for part in house.coordinator.ledger.parts.values()))
    may = LocalPolicy(10.0, probes=frozenset({"tcp_synscan"}), grabs=frozenset({"banner"}))
    other = Hand(tmp_path / "b", InHouse(house, "bob"), alias="bob", policy=may, can=can(grabs=("banner",)))
    await complete(house)
    said = [change.body for change in house.state.things("trace") if change.body and change.body["event"] == "refused"]
    assert "banner is not grabbed from here" in said[0]["detail"]
    assert (liar.scans.probed, sorted(other.scans.probed)) == ([], list(range(1_024)))
    for one in (liar, other):
        await one.stop()
    house.state.close()


async def test_a_slice_that_cannot_be_begun_here_is_given_back(house: House, tmp_path: Path) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    good = hand.scans.scan
    tries = []

    def scan(*args: object, **more: object) -> object:
        tries.append(1)
        if len(tries) < 3:
            raise UsageError("work", None, "not here")
        return good(*args, **more)  # type: ignore[arg-type]

    hand.scans.scan = scan  # type: ignore[method-assign,assignment]
    await complete(house)
    await hand.stop()
    assert set(found(house)) == TRUTH


@pytest.mark.parametrize("over", [False, True])
async def test_over_real_tls_an_agent_of_another_version_and_one_whose_certificate_has_ended(
    tmp_path: Path, authority: ca.Authority, monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    house = House(tmp_path, authority)
    house.now = dt.datetime.now(dt.UTC).timestamp()
    identity = ca.Identity(tmp_path / "alice")
    key, request = ca.request("alice")
    made = dt.datetime.fromtimestamp(house.now, dt.UTC) - dt.timedelta(days=ca.CERTIFICATE_DAYS if over else 0)
    pem, serial, ends = authority.agent(request, "alice", made)
    for path, content in ((identity.key, key), (identity.certificate, pem), (identity.authority, authority.pem)):
        ca.write_private(path, content)
    row = (serial, "alice", made.timestamp(), ends)
    house.state.file.write_sync(lambda c: c.execute("INSERT INTO fleet_certificates VALUES (?, ?, ?, ?, NULL)", row))
    await house.begin(work=work())
    monkeypatch.setattr(links, "PROTOCOL", links.PROTOCOL if over else 1)
    server = Server(house.coordinator.handle, ca.Identity(authority.folder), "127.0.0.1", 0)
    way = Client(f"https://localhost:{await server.start()}", identity)
    hand = Hand(tmp_path / "a", way)
    said = "certificate of alice has ended: enrol again" if over else "the agent is too old"
    with pytest.raises(HostError, match=said):
        await asyncio.wait_for(hand.task, 30)
    assert hand.scans.probed == []
    hand.spool.close()
    await server.close()
    house.state.close()


@pytest.mark.parametrize("scope", ["all", "campaign"])
@pytest.mark.parametrize("who", ["coordinator", "agent"])
async def test_an_order_ends_the_slice_at_once_and_lifted_all_is_done(
    house: House, tmp_path: Path, who: str, scope: str
) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"))
    hand.scans.hold = asyncio.Event()
    await until(lambda: hand.scans.probed)
    order = Order("stop", "all") if scope == "all" else Order("stop", "campaign", "town")
    heed = house.coordinator.heed if who == "coordinator" else hand.agent.heed
    heed(Standing((order,)))
    await until(hand.scans.hold.is_set)
    before = list(hand.scans.probed)
    await until(lambda: not house.coordinator.ledger.leases)
    await asyncio.sleep(0.1)
    assert hand.scans.probed == before
    heed(Standing())
    await complete(house)
    await hand.stop()
    assert sorted(found(house)) == sorted(TRUTH)


async def test_a_coordinator_that_speaks_nonsense_does_no_harm(
    house: House, tmp_path: Path, authority: ca.Authority
) -> None:
    """Answers that are none, or ask for what cannot be: the agent goes on, with that one and with others."""
    (tmp_path / "2").mkdir()
    mad = House(tmp_path / "2", authority)
    await mad.begin("alice", work=work(scan="mad"))
    nonsense = InHouse(mad, "alice")
    nonsense.url = "https://nonsense:46001"
    rng = random.Random(2)
    kept: list[bytes] = []

    async def post(path: str, body: bytes, token: str = "") -> tuple[int, bytes]:
        await asyncio.sleep(0)
        status, good = await InHouse.post(nonsense, path, body, token)
        kept.append(good)
        data = bytearray(rng.choice(kept))
        for _ in range(rng.randint(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return rng.choice((200, status)), rng.choice((b"", b"[]", bytes(data), good))

    nonsense.post = post  # type: ignore[method-assign]
    hand = Hand(tmp_path / "a", nonsense, InHouse(house, "alice"))
    async with asyncio.timeout(20):
        while not house.coordinator.ledger.jobs["town"].ended:
            await asyncio.sleep(0.002)
            house.now += 0.2
            await house.coordinator.tick()
    assert not hand.task.done(), hand.task
    assert set(found(house)) == TRUTH
    await hand.kill()
    mad.state.close()


async def test_enrolling(house: House, authority: ca.Authority) -> None:
    token, hashed = ca.new_token(authority.fingerprint)
    house.state.add_token(hashed, "carol", NOW + 10)
    way = InHouse(house, "")
    way.alias = None  # type: ignore[assignment]
    _, request = ca.request("carol")
    assert (await enrol(way, token, request)).certificate.startswith("-----BEGIN CERTIFICATE")
    with pytest.raises(UsageError, match="used already"):
        await enrol(way, token, request)
    way.fault = lambda: "before"
    with pytest.raises(Unavailable):
        await enrol(way, token, request)


async def test_a_clock_that_is_off_is_told(house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hand = Hand(tmp_path / "a", InHouse(house, "alice"), clock=lambda: NOW - 100)
    await until(lambda: hand.scans.probed)
    await hand.stop()
    assert "our clock is -100.0 s off its own" in caplog.text


async def test_a_greeting_that_was_long_on_its_way_says_nothing_of_the_clock(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    times = itertools.count(NOW - 100, 100)
    hand = Hand(tmp_path / "a", InHouse(house, "alice"), clock=lambda: next(times))
    await until(lambda: hand.scans.probed)
    await hand.stop()
    assert "our clock" not in caplog.text
