from __future__ import annotations

import asyncio
import errno
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address

import pytest

from stages.core.errors import Confined, HostError
from stages.core.ranges import Ranges
from stages.net import confine
from stages.net.conversation import Conversation
from stages.scanner import connect
from stages.scanner.answers import ICMP, RST, SYNACK
from stages.scanner.connect import ConnectEngine, ConnectPlan, Ipv4Targets, Ipv6Targets, Targeted
from stages.scanner.permutation import Permutation
from stages.scanner.rate import MIN_RATE
from stages.scanner.rows import Answer, address_text
from stages.scanner.sharding import own_positions
from stages.scanner.space import Space
from stages.scanner.targets import Ipv6Space

BASE = int(IPv4Address("127.66.0.0"))
LIMIT = 30


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.66.0.5", 0), backlog=128) as listening:
        yield listening


def plan(targets: Targeted, **fields: float | None) -> ConnectPlan:
    usual = {"rate": 0.0, "connections": 100, "timeout": 2.0}
    return ConnectPlan(targets, Permutation(targets.size, 3), **{**usual, **fields})  # type: ignore[arg-type]


def loopback(port: int, addresses: int = 16) -> Ipv4Targets:
    return Ipv4Targets(Space.build([(BASE, BASE + addresses - 1)], [port]))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.005)


async def run(engine: ConnectEngine) -> None:
    engine.start()
    try:
        await until(lambda: engine.done)
    finally:
        await engine.close()


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


async def test_open_and_closed_targets_each_once(server: socket.socket) -> None:
    answers: list[Answer] = []
    engine = ConnectEngine(plan(loopback(port_of(server))), answers.extend)
    await run(engine)
    assert sorted(answer.position for answer in answers) == list(range(16))
    assert {address_text(a.address) for a in answers if a.kind == SYNACK} == {"127.66.0.5"}
    assert {a.kind for a in answers} == {SYNACK, RST}
    for answer in answers:
        assert answer.seq is None
        assert answer.daddr is None
        assert answer.rtt is not None
        assert 0 <= answer.rtt < LIMIT
    assert engine.position == engine.settled(0, 0) == 16
    counters = engine.counters
    assert (counters.sent, counters.validated, counters.send_failures) == (16, 16, 0)


async def test_the_order_is_that_of_the_permutation(server: socket.socket) -> None:
    answers: list[Answer] = []
    targets = loopback(port_of(server))
    engine = ConnectEngine(plan(targets, first=3, last=9), answers.extend)
    await run(engine)
    order = Permutation(16, 3)
    assert {answer.position: answer.address for answer in answers} == {i: BASE + order.one(i) for i in range(3, 9)}


async def test_ipv6_targets_from_a_list() -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with listening:
        answers: list[Answer] = []
        targets = Ipv6Targets(Ipv6Space(Ranges((1,), (1,)), (port_of(listening),)))
        await run(ConnectEngine(plan(targets), answers.extend))
        assert [(answer.address, answer.kind) for answer in answers] == [("::1", SYNACK)]


@pytest.mark.parametrize("shards", [1, 3, 20])
async def test_shards_share_the_targets_out(server: socket.socket, shards: int) -> None:
    targets, order, seen = loopback(port_of(server)), Permutation(16, 3), []
    for shard in range(shards):
        answers: list[Answer] = []
        await run(ConnectEngine(plan(targets, shard=shard, shards=shards), answers.extend))
        assert sorted(answer.position for answer in answers) == list(range(own_positions(16, shard, shards)))
        for answer in answers:
            assert answer.address == BASE + order.one(shard + answer.position * shards)
        seen += [answer.address for answer in answers]
    assert sorted(seen) == list(range(BASE, BASE + 16))


@pytest.fixture
def full() -> Iterator[int]:
    """A port of 127.66.0.5 whose SYNs are dropped: the queue of connections that nobody accepts is full."""
    with socket.create_server(("127.66.0.5", 0), backlog=0) as listening, ExitStack() as clients:
        for _ in range(8):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.66.0.5", port_of(listening)))
        yield port_of(listening)


@pytest.mark.parametrize(("retries", "interval"), [(0, 1.0), (1, 0.0), (3, 0.2)])
async def test_a_silent_target_is_tried_so_often_again(full: int, retries: int, interval: float) -> None:
    answers: list[Answer] = []
    engine = ConnectEngine(plan(loopback(full), timeout=0.2, retries=retries, retry_interval=interval), answers.extend)
    began = time.monotonic()
    await run(engine)
    assert time.monotonic() - began >= 0.2 + retries * (0.2 + interval)
    assert engine.counters.sent == 15 + retries + 1
    assert {(answer.attempt, answer.kind) for answer in answers} == {(0, RST)}
    assert len(answers) == 15
    assert engine.position == engine.settled(0, 0) == 16


async def test_stopped_before_its_next_try_a_target_is_not_done(full: int) -> None:
    engine = ConnectEngine(plan(loopback(full), timeout=0.2, retries=1, retry_interval=60.0), lambda answers: None)
    silent = next(i for i in range(16) if Permutation(16, 3).one(i) == 5)
    engine.start()
    await until(lambda: engine.counters.sent == 16)
    assert engine.sending
    engine.stop_sending()
    await until(lambda: engine.done)
    assert engine.position == engine.settled(0, 0) == silent
    await engine.close()


async def test_the_answer_to_a_later_try_says_so(server: socket.socket) -> None:
    answers: list[Answer] = []
    engine = ConnectEngine(plan(loopback(port_of(server), 8), retries=2), answers.extend)
    engine._again.append((0.0, connect._Probe(99, BASE + 5, "127.66.0.5", port_of(server), attempt=2)))
    engine._open[99] = engine._again[0][1]
    await run(engine)
    assert [(a.position, a.attempt) for a in answers if a.attempt] == [(99, 2)]


async def test_what_became_blocked_is_not_dialled(server: socket.socket) -> None:
    answers: list[Answer] = []
    engine = ConnectEngine(plan(loopback(port_of(server))), answers.extend, blocked=lambda host: host == "127.66.0.5")
    await run(engine)
    assert len(answers) == 15
    assert engine.settled(0, 0) == 16
    assert engine.counters.sent == 15


async def test_pause_holds_and_resume_goes_on(server: socket.socket) -> None:
    answers: list[Answer] = []
    engine = ConnectEngine(plan(loopback(port_of(server), 64), connections=1), answers.extend)
    engine.pause()
    engine.start()
    await asyncio.sleep(5 * connect.TICK)
    assert engine.position == 0
    assert engine.sending
    assert not engine.done
    engine.resume()
    await until(lambda: engine.done)
    await engine.close()
    assert len(answers) == 64


async def test_stopping_leaves_the_rest_undone(server: socket.socket) -> None:
    engine = ConnectEngine(plan(loopback(port_of(server), 65536), rate=1000.0), lambda answers: None)
    engine.start()
    await until(lambda: engine.position > 0)
    engine.stop_sending()
    await until(lambda: engine.done)
    assert engine.settled(0, 0) == engine.position < 65536
    await engine.close()


async def test_a_runtime_limit(server: socket.socket) -> None:
    engine = ConnectEngine(plan(loopback(port_of(server), 65536), rate=100.0, max_runtime=0.1), lambda answers: None)
    await run(engine)
    assert 0 < engine.position < 65536


async def test_the_rate_is_kept(server: socket.socket) -> None:
    now = [0.0]
    engine = ConnectEngine(
        plan(loopback(port_of(server), 65536), rate=1000.0, connections=5000),
        lambda answers: None,
        clock=lambda: now[0],
    )
    engine.start()
    assert engine.position <= 50  # what may go at once
    await asyncio.sleep(3 * connect.TICK)
    assert engine.position <= 50  # the clock stands still
    before = engine.position
    now[0] = 0.04
    await until(lambda: engine.position > before)
    assert engine.position - before <= 41
    await engine.close()


async def test_descriptors_that_run_out_lower_the_concurrency_and_nothing_is_lost(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "FIRST_BACKOFF", 0.01)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    answers: list[Answer] = []
    engine = ConnectEngine(plan(loopback(port_of(server), 300), connections=300), answers.extend)
    engine.start()
    used = max(map(int, __import__("os").listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, hard))
    try:
        await until(lambda: engine.done)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await engine.close()
    assert engine.failure is None
    assert sorted(answer.position for answer in answers) == list(range(300))


def ended(engine: ConnectEngine, probe: connect._Probe, **fields: object) -> None:
    conversation = Conversation(probe.host, probe.port, connect._HangUp(), probe, 1.0, 1)
    for name, value in {"ended": 0.1, **fields}.items():
        setattr(conversation, name, value)
    engine._on_end([conversation])


def probing(engine: ConnectEngine) -> connect._Probe:
    probe = engine._next(0.0)
    assert probe is not None
    return probe


async def test_a_limit_that_stays_stops_the_scan_and_says_why() -> None:
    engine = ConnectEngine(plan(loopback(80)), lambda answers: None)
    probe = probing(engine)
    for _ in range(connect.LOCAL_TRIES):
        assert engine.failure is None
        ended(engine, probe, failed=True, errno=errno.EMFILE, left_host=False)
    assert isinstance(engine.failure, HostError)
    assert "Too many open files" in str(engine.failure)
    assert engine.settled(0, 0) == engine.position == probe.position  # it never was probed


async def test_an_address_that_this_host_will_not_dial_is_counted_and_left() -> None:
    answers: list[Answer] = []
    engine = ConnectEngine(plan(loopback(80)), answers.extend)
    ended(engine, probing(engine), failed=True, errno=errno.ENETUNREACH, left_host=False)
    assert engine.counters.send_failures == 1
    assert engine.settled(0, 0) == 1
    assert not answers
    assert engine.failure is None


async def test_a_host_that_dials_nobody_at_all_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "MAX_REFUSED_HERE", 3)
    engine = ConnectEngine(plan(loopback(80)), lambda answers: None)
    for _ in range(3):
        ended(engine, probing(engine), failed=True, errno=errno.ENETUNREACH, left_host=False)
    assert "refuses to dial any" in str(engine.failure)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"connected": 0.01}, SYNACK),
        ({"connected": 0.01, "failed": True, "errno": errno.ECONNRESET}, SYNACK),  # open, then reset
        ({"failed": True, "errno": errno.ECONNREFUSED}, RST),
        ({"failed": True, "errno": errno.EHOSTUNREACH, "icmp": (3, 1, "10.0.0.254")}, ICMP),
        ({"failed": True, "errno": errno.ECONNREFUSED, "icmp": (3, 3, "10.0.0.254")}, ICMP),
        ({"failed": True, "errno": errno.ETIMEDOUT}, None),
        ({"failed": True, "errno": errno.EHOSTUNREACH}, None),  # no neighbour: nothing came from the target
        ({"timed_out": True}, None),
    ],
)
async def test_what_the_kernel_says_is_told_apart(fields: dict[str, object], kind: int | None) -> None:
    answers: list[Answer] = []
    engine = ConnectEngine(plan(loopback(80)), answers.extend)
    ended(engine, probing(engine), **fields)
    assert [answer.kind for answer in answers] == ([] if kind is None else [kind])
    if kind == ICMP:
        assert (answers[0].icmp_type, answers[0].responder) == (3, "10.0.0.254")
    assert engine.settled(0, 0) == 1


async def test_confinement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(confine.VARIABLE, "1")
    confine.forget()
    try:
        outside = Ipv4Targets(Space.build([(10 << 24, 10 << 24)], [80]))
        engine = ConnectEngine(plan(outside), lambda answers: None)
        engine.start()
        await engine.close()
        assert isinstance(engine.failure, Confined)
        assert "10.0.0.0 is not loopback" in str(engine.failure)
    finally:
        confine.forget()


async def test_the_rate_can_be_changed() -> None:
    engine = ConnectEngine(plan(loopback(1), rate=100.0), lambda answers: None)
    engine.change_rate(1.05)
    assert engine.rate == pytest.approx(105)
    engine.change_rate(1e-9)
    assert engine.rate == MIN_RATE
    unlimited = ConnectEngine(plan(loopback(1), rate=0.0), lambda answers: None)
    unlimited.change_rate(0.95)
    assert unlimited.rate == 0


async def test_halted_it_drops_what_is_under_way_which_is_not_done(full: int) -> None:
    engine = ConnectEngine(plan(loopback(full), timeout=60.0), lambda answers: None)
    silent = next(i for i in range(16) if Permutation(16, 3).one(i) == 5)
    engine.start()
    await until(lambda: engine.counters.sent == 15)
    engine.halt()
    assert engine.done
    assert engine.position == engine.settled(0, 0) == silent
    await engine.close()
