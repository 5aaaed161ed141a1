"""What a coordinator does with what stands in its log."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stages.core.bus.base import Chunk, Output
from stages.core.errors import HostError, Unavailable
from stages.fleet import ca, messages
from stages.fleet.envelope import WINDOW, Opener, Reply, Request, Signer, digest, moment, unsigned
from stages.fleet.logserver import LogServer, lane
from stages.fleet.messages import PROTOCOL, Slice
from tests.fleet.broker import TOPICS, Broker
from tests.fleet.house import House
from tests.fleet.material import DIGEST, NOW, can, hit, shown
from tests.fuzzing import fuzz, inputs

HELLO = messages.dump(messages.Hello(protocol=PROTOCOL, capabilities=can(), clock=NOW))
ASK = messages.dump(messages.Ask(protocol=PROTOCOL))


class Desk(Broker):
    """Requests are handed to the coordinator's side one by one."""

    def __init__(self, house: House, folder: Path) -> None:
        super().__init__(house, folder)
        self.opener = Opener(house.authority.pem, Reply)
        self.at = moment(NOW)

    async def open(self) -> LogServer:
        server = self.server()
        await self.source.start(self._nothing)
        return server

    async def _nothing(self, partitions: object) -> None: ...

    def line(
        self, alias: str, path: str, body: bytes = b"{}", *, at: int = 0, token: str = "", box: str = "a"
    ) -> bytes:
        self.at += 1
        head = Request(box="a" * 32, at=at or self.at, path=f"/v1/{path}", token=token)
        return self.enrolled(alias).seal(head, body)

    async def say(self, server: LogServer, *lines: bytes) -> list[tuple[int, bytes]]:
        """What is answered to these, which come together."""
        before = len(self.bus.lines(TOPICS.work))
        await server.turn([Chunk(TOPICS.claims, 0, n, n + 1, [line]) for n, line in enumerate(lines)])
        replies = [self.opener.open(line, self.house.now) for line in self.bus.lines(TOPICS.work)]
        said = {reply.head.to: (reply.head.status, reply.body) for reply in replies}
        assert len(replies) - before <= len(lines)
        return [said[digest(line)] for line in lines if digest(line) in said]


@pytest.fixture
async def desk(house: House, tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(house, tmp_path)
    yield made
    await made.close()


async def leased(desk: Desk, server: LogServer, alias: str = "alice") -> Slice:
    said = await desk.say(server, desk.line(alias, "hello", HELLO), desk.line(alias, "lease", ASK))
    slice = messages.parse(messages.Lease, said[1][1]).slice
    assert slice is not None
    begin = messages.dump(messages.Begin(token=slice.token, digest=DIGEST))
    assert (await desk.say(server, desk.line(alias, "begin", begin)))[0][0] == 200
    return slice


def test_each_path_has_one_topic() -> None:
    assert {lane(f"/v1/{path}", TOPICS) for path in ("hello", "check", "enrol", "authority")} == {TOPICS.agents}
    paths = ("lease", "begin", "progress", "refuse", "results", "optout", "nothing")
    assert {lane(f"/v1/{path}", TOPICS) for path in paths} == {TOPICS.claims}


async def test_what_comes_again_is_not_carried_out_again(desk: Desk) -> None:
    server = await desk.open()
    slice = await leased(desk, server)
    line = desk.line("alice", "results", hit(3).dump(), token=str(slice.token))
    assert [status for status, _ in await desk.say(server, line)] == [200]
    await desk.say(server, line, line)
    assert len(desk.house.hits()) == 1
    assert desk.flawed("replayed") == 2
    another_life = desk.server()
    await desk.house.restart()
    for topic in (TOPICS.claims, TOPICS.agents):  # copied to the other topic, too
        await another_life.turn([Chunk(topic, 0, 9, 10, [line])])
    assert (len(desk.house.hits()), desk.flawed("replayed")) == (1, 4)


async def test_twice_in_one_turn_the_first_is_answered(desk: Desk) -> None:
    server = await desk.open()
    line = desk.line("alice", "hello", HELLO)
    await server.turn([Chunk(TOPICS.agents, 0, 0, 1, [line, line])])
    replies = [desk.opener.open(reply, NOW).head for reply in desk.bus.lines(TOPICS.work)]
    assert [(reply.status, reply.to) for reply in replies] == [(200, digest(line)), (503, digest(line))]


async def test_what_was_heard_and_not_answered_is_asked_again(desk: Desk) -> None:
    """Killed between the two: the log delivers it again, the answer says to ask again, and then all is well."""
    server = await desk.open()
    slice = await leased(desk, server)
    said = messages.dump(messages.Progress(token=slice.token, position=50, proof=shown(slice, 50)))
    line = desk.line("alice", "progress", said)
    desk.bus.fail("publish")
    with pytest.raises(Unavailable):
        await desk.say(server, line)
    await desk.house.restart()
    [(status, body)] = await desk.say(server, line)
    assert (status, b"ask again" in body) == (503, True)
    assert [status for status, _ in await desk.say(server, desk.line("alice", "progress", said))] == [200]
    assert desk.house.coordinator.ledger.leases[slice.token].at == 50


@pytest.mark.parametrize("path", ["hello", "lease", "begin", "progress", "results", "optout", "check"])
async def test_all_that_may_be_asked_bears_being_asked_again(desk: Desk, path: str) -> None:
    server = await desk.open()
    slice = await leased(desk, server)
    body = {
        "hello": messages.dump(messages.Hello(protocol=PROTOCOL, capabilities=can(), clock=NOW, holds=(slice.token,))),
        "lease": ASK,
        "begin": messages.dump(messages.Begin(token=slice.token, digest=DIGEST)),
        "progress": messages.dump(messages.Progress(token=slice.token, position=9, proof=shown(slice, 9))),
        "results": hit(3).dump(),
    }.get(path, b"{}")
    first = await desk.say(server, desk.line("alice", path, body, token=str(slice.token)))
    ledger = desk.house.coordinator.ledger
    leases, parts = set(ledger.leases), len(ledger.parts)
    assert await desk.say(server, desk.line("alice", path, body, token=str(slice.token))) == first
    assert (set(ledger.leases), len(ledger.parts)) == (leases, parts), "no slice leaks"
    assert first[0][0] == 200
    assert desk.house.coordinator.ledger.jobs["town"].hits == (path == "results")


@pytest.mark.parametrize("skew", [WINDOW + 5, -WINDOW - 5, 86_400.0, -86_400.0])
async def test_a_clock_that_is_wrong_is_told(desk: Desk, skew: float) -> None:
    server = await desk.open()
    [(status, body)] = await desk.say(server, desk.line("alice", "hello", HELLO, at=moment(NOW + skew)))
    which = "ahead of" if skew > 0 else "behind"
    assert (status, f"{abs(skew):.0f} s {which} the coordinator's" in body.decode()) == (503, True)
    assert desk.flawed("skewed") == 1
    assert "alice" not in desk.house.coordinator.ledger.agents
    near = desk.line("alice", "hello", HELLO, at=moment(NOW + (WINDOW - 5) * (1 if skew > 0 else -1)))
    assert (await desk.say(server, near))[0][0] == 200


async def test_a_certificate_that_has_ended_is_refused_for_good(desk: Desk) -> None:
    server = await desk.open()
    line = desk.line("alice", "hello", HELLO)
    desk.house.now += 800 * 86_400
    await server.turn([Chunk(TOPICS.agents, 0, 0, 1, [line])])
    [reply] = [desk.opener.open(line, NOW) for line in desk.bus.lines(TOPICS.work)]
    assert (reply.head.status, b"the certificate ended on" in reply.body) == (403, True)


async def test_what_is_none_of_ours_is_counted_and_told_once(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = await desk.open()
    other = ca.Authority.make(tmp_path / "other", desk.house.authority.certificate.not_valid_before_utc)
    key, request = ca.request("alice")
    pem, _, _ = other.agent(request, "alice", desk.house.authority.certificate.not_valid_before_utc)
    identity = ca.Identity(tmp_path / "mallory")
    ca.write_private(identity.key, key)
    ca.write_private(identity.certificate, pem)
    mallory = Signer(identity)
    with caplog.at_level(logging.WARNING):
        for n in range(5):
            forged = mallory.seal(Request(box="a" * 32, at=moment(NOW) + n, path="/v1/hello"), HELLO)
            assert await desk.say(server, forged, b"rubbish", b"a.b.c.d") == []
    assert (desk.flawed("forged"), desk.flawed("malformed")) == (5, 10)
    assert len(caplog.records) == 2


async def test_a_stranger_may_ask_for_a_certificate_and_for_nothing_else(desk: Desk) -> None:
    server = await desk.open()
    for path, status in (("authority", 200), ("hello", 401), ("lease", 401), ("results", 401)):
        line = unsigned(Request(box="b" * 32, at=moment(NOW), path=f"/v1/{path}"), b"{}")
        assert [status for status, _ in await desk.say(server, line)] == [status]


async def test_requests_of_one_agent_keep_their_order_and_do_not_wait_for_others(desk: Desk) -> None:
    server = await desk.open()
    order: list[tuple[str, str]] = []
    held, inner = asyncio.Event(), server._handle

    async def handle(path: str, serial: str | None, token: str, body: bytes) -> object:
        alias = desk.house.coordinator._good[str(serial)]
        if (alias, path) == ("alice", "/v1/hello"):
            await held.wait()
        order.append((alias, path))
        if len(order) == 2:
            held.set()
        return await inner(path, serial, token, body)

    server._handle = handle  # type: ignore[assignment]
    lines = [desk.line(alias, path, HELLO) for path in ("hello", "check") for alias in ("alice", "bob")]
    said = await desk.say(server, *lines)
    assert [status for status, _ in said] == [200] * 4
    assert order == [("bob", "/v1/hello"), ("bob", "/v1/check"), ("alice", "/v1/hello"), ("alice", "/v1/check")]


async def test_offsets_are_committed_behind_the_answers(desk: Desk) -> None:
    server = await desk.open()
    await desk.bus.publisher().publish([Output(TOPICS.agents, b"a", desk.line("alice", "hello", HELLO))])
    chunks = await desk.source.poll(10, 5)
    desk.bus.fail("publish")
    with pytest.raises(Unavailable):
        await server.turn(chunks)
    assert await desk.source.lag() == 1
    await server.turn(chunks)
    assert await desk.source.lag() == 0


async def test_a_state_that_cannot_be_kept_ends_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await desk.open()

    async def broken(*_: object) -> object:
        raise HostError("the disk is full")

    server._handle = broken  # type: ignore[assignment]
    running = asyncio.create_task(server.run())
    await desk.bus.publisher().publish([Output(TOPICS.agents, b"a", desk.line("alice", "hello", HELLO))])
    with pytest.raises(HostError, match="the disk is full"):
        await asyncio.wait_for(running, 30)
    assert desk.bus.lines(TOPICS.work) == []


async def test_who_has_lost_the_state_answers_nobody(desk: Desk) -> None:
    server = await desk.open()
    assert desk.house.state.own("first", lambda _: True) is None
    await desk.say(server, desk.line("alice", "hello", HELLO))
    other = type(desk.house.state)(desk.house.state.file.path)
    assert other.own("second", lambda _: True) == "first"
    assert other.own("second", lambda _: False) is None
    with pytest.raises(HostError, match="taken the state over"):
        await desk.say(server, desk.line("alice", "lease", ASK))
    assert not desk.house.state.things("leases")
    other.close()


#: Of lines in `make test`; `make fuzz` sends as many as it is told.
FUZZED = inputs(2_000)


@fuzz
async def test_whatever_stands_in_the_log_nothing_is_disturbed(desk: Desk) -> None:
    """Lines cut, mixed, repeated, changed and copied: the scan is done as if nothing had been."""
    rng = random.Random(8)
    server = await desk.open()
    slice = await leased(desk, server, "bob")
    progress = messages.dump(messages.Progress(token=slice.token, position=9, proof=shown(slice, 9)))
    refuse = messages.dump(messages.Refuse(token=slice.token, reason="no"))
    good = [
        desk.line("bob", "hello", HELLO),
        desk.line("bob", "refuse", refuse),
        desk.line("bob", "results", hit(3, vantage="bob").dump(), token=str(slice.token)),
        desk.line("alice", "progress", progress),
        desk.line("alice", "refuse", refuse, token=str(slice.token)),
        unsigned(Request(box="b" * 32, at=moment(NOW), path="/v1/refuse"), refuse),
    ]
    # What bob has said before is heard no more.
    await desk.say(server, desk.line("bob", "check"), desk.line("bob", "optout"))
    for start in range(0, FUZZED, 50):
        lines = []
        for _ in range(min(50, FUZZED - start)):
            data = bytearray(rng.choice(good))
            parts = bytes(data).split(b".")
            if rng.random() < 0.3:
                parts[rng.randrange(4)] = rng.choice(good).split(b".")[rng.randrange(4)]
                data = bytearray(b".".join(parts))
            for _ in range(rng.randint(0, 3)):
                data[rng.randrange(len(data))] = rng.choice(b"ABCabc._-=" + bytes([rng.randrange(256)]))
            if rng.random() < 0.2:
                del data[rng.randrange(len(data)) :]
            lines.append(bytes(data).replace(b"\n", b""))
        await server.turn([Chunk(TOPICS.claims, 0, start, start + 1, lines)])
    assert desk.house.hits() == []
    assert desk.house.coordinator.ledger.leases[slice.token].agent == "bob"
    assert desk.flawed("forged") > 0
    done = messages.dump(messages.Progress(token=slice.token, position=slice.last, proof=shown(slice, slice.last)))
    assert [status for status, _ in await desk.say(server, desk.line("bob", "progress", done))] == [200]
