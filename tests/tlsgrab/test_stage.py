"""The stage inside the real runner, over the memory bus, against servers on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from stages.core.bus.base import Output, Topics
from stages.core.bus.memory import MemoryBus
from stages.core.errors import HostError
from stages.core.intake import read_hit
from stages.core.metrics import Metrics
from stages.core.outcome import DeadReason, Outcome, Phase
from stages.core.records import Tls, parse
from stages.core.routing import Routing
from stages.core.settings import RunnerSettings
from stages.net import confine
from stages.tlsgrab.app import make_runner
from stages.tlsgrab.endings import MAX_CHAIN
from stages.tlsgrab.metrics import TlsgrabMetrics
from stages.tlsgrab.modes import mode_of
from stages.tlsgrab.openssl import FullHandshake
from stages.tlsgrab.settings import TlsgrabSettings
from stages.tlsgrab.stage import MAX_EVENTS, TlsgrabStage
from tests.servers import talkers
from tests.servers.certificates import identity, server_context
from tests.servers.talkers import Handler, fresh_address, full, nobody, talker
from tests.servers.tls_bytes import UNREADABLE, alert, flight, message, record, server_hello

Grab = Callable[..., Any]
Line = Callable[..., bytes]


@pytest.fixture
def tlsgrab(tlsgrab: Grab) -> Grab:
    """These are of `full` mode; what is the same in the others is tested once."""
    return partial(tlsgrab, mode="full")


def tls(context: ssl.SSLContext) -> Handler:
    """One handshake; then wait until the client goes."""

    def handler(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    return handler


def after_hello(then: Handler) -> Handler:
    """Read the ClientHello, then do that."""

    def handler(connection: socket.socket) -> None:
        connection.recv(65_536)
        then(connection)

    return handler


async def test_every_outcome_is_told_apart(tlsgrab: Grab, hit_line: Line) -> None:
    who = identity()
    hello = record(22, server_hello(0x0303, 0x009C))
    stop = threading.Event()
    ok, protocol = Outcome.OK, Outcome.PROTOCOL
    servers = {
        "good 1.3": (talker(tls(server_context(who, ssl.TLSVersion.TLSv1_3))), ok, Phase.FINISH),
        "good 1.2": (talker(tls(server_context(who, ssl.TLSVersion.TLSv1_2))), ok, Phase.FINISH),
        "refused": (nobody(), Outcome.REFUSED, Phase.CONNECT),
        "slow": (full(), Outcome.TIMEOUT, Phase.CONNECT),
        "silent": (talker(talkers.hold()), Outcome.SILENT, Phase.HELLO),
        "empty": (talker(after_hello(talkers.say())), Outcome.EMPTY, Phase.HELLO),
        "reset at once": (talker(talkers.reset), Outcome.RESET, Phase.HELLO),
        "reset on hello": (talker(after_hello(talkers.reset)), Outcome.RESET, Phase.HELLO),
        "reset later": (talker(after_hello(talkers.say_then_reset(hello))), Outcome.RESET, Phase.CERTIFICATE),
        "stuck": (talker(after_hello(talkers.hold(hello))), Outcome.TIMEOUT, Phase.CERTIFICATE),
        "closed": (talker(after_hello(talkers.say(hello))), protocol, Phase.CERTIFICATE),
        "alert": (talker(after_hello(talkers.say(alert(2, 40)))), Outcome.ALERT, Phase.HELLO),
        "rude alert": (talker(after_hello(talkers.say_then_reset(alert(2, 40)))), Outcome.ALERT, Phase.HELLO),
        "late alert": (talker(after_hello(talkers.say(hello, alert(2, 80)))), Outcome.ALERT, Phase.CERTIFICATE),
        "plain": (talker(after_hello(talkers.say(b"HTTP/1.1 400 Bad Request\r\n\r\n"))), protocol, Phase.HELLO),
        "mail": (talker(talkers.hold(b"220 mail.test ESMTP\r\n")), protocol, Phase.HELLO),
        "rude plain": (talker(after_hello(talkers.say_then_reset(b"Bad Request"))), protocol, Phase.HELLO),
        "unreadable": (talker(after_hello(talkers.hold(flight([UNREADABLE])))), protocol, Phase.CERTIFICATE),
        "SSLv3": (talker(after_hello(talkers.hold(flight(who.chain, 0x0300, 0x002F)))), protocol, Phase.HELLO),
        "drip": (talker(after_hello(talkers.drip(flight(who.chain), stop, 0.1))), Outcome.TIMEOUT, Phase.HELLO),
        "flood": (talker(talkers.flood), protocol, Phase.HELLO),
    }
    with ExitStack() as stack:
        targets = {name: stack.enter_context(server) for name, (server, _, _) in servers.items()}
        lines = [hit_line(target) for target in targets.values()]
        got = await tlsgrab(lines, conn_timeout=1.0, conn_timeout_min=1.0)
        stop.set()
    expected = {name: (outcome, phase) for name, (_, outcome, phase) in servers.items()}
    assert {name: got.ends(target) for name, target in targets.items()} == expected
    assert (got.summary.done, got.dead) == (len(expected), [])
    one = {name: got.of(target) for name, target in targets.items()}
    for name in "good 1.3", "good 1.2", "SSLv3":
        assert one[name].certificates == who.chain
        assert one[name].chain == [sha256(der).hexdigest() for der in who.chain]
    assert {name: record.version for name, record in one.items() if record.version is not None} == {
        "good 1.3": "TLSv1.3", "good 1.2": "TLSv1.2", "SSLv3": "SSLv3", "unreadable": "TLSv1.2",
        "reset later": "TLSv1.2", "stuck": "TLSv1.2", "closed": "TLSv1.2", "late alert": "TLSv1.2",
    }  # fmt: skip
    assert one["unreadable"].certificates == [UNREADABLE]
    assert one["refused"].errno == "ECONNREFUSED"
    assert one["reset on hello"].errno in ("ECONNRESET", "EPIPE")
    assert (one["alert"].alert, one["late alert"].alert) == ("handshake_failure", "internal_error")
    assert b"220 mail".hex() in (one["mail"].error or "")
    good = one["good 1.3"]
    assert good.hit == parse(hit_line(targets["good 1.3"])).id
    assert good.server_hello is not None
    assert good.connect is not None
    assert good.first_byte is not None
    assert good.ended is not None
    assert 0 < good.connect <= good.first_byte <= good.ended
    assert got.metrics["longline_tlsgrab_handshakes"].total == len(expected)
    assert got.metrics["longline_tlsgrab_connections_open"].value == 0


async def test_our_last_words_arrive(tlsgrab: Grab, hit_line: Line) -> None:
    """Finished and close_notify to who is good, an alert to who is not."""
    heard: dict[str, object] = {}

    def good(connection: socket.socket) -> None:
        with server_context(identity(), ssl.TLSVersion.TLSv1_3, tickets=0).wrap_socket(
            connection, server_side=True, suppress_ragged_eofs=False
        ) as one:
            heard["good"] = one.recv(1)

    def bad(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(flight([UNREADABLE]))
        heard["bad"] = connection.recv(1)

    with talker(good) as first, talker(bad) as second:
        await tlsgrab([hit_line(first), hit_line(second)])
        # The talkers' threads are joined as the block ends.
    assert heard == {"good": b"", "bad": b"\x15"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_required(tlsgrab: Grab, hit_line: Line, version: ssl.TLSVersion) -> None:
    context = server_context(identity(), version, client=ssl.CERT_REQUIRED)
    with talker(tls(context)) as target:
        got = await tlsgrab([hit_line(target)])
    assert got.ends(target) == (Outcome.ALERT, Phase.FINISH)
    assert got.of(target).certificates == identity().chain
    assert got.of(target).alert == (
        "certificate_required" if version is ssl.TLSVersion.TLSv1_3 else "handshake_failure"
    )


async def test_the_name_of_the_input_before_that_of_the_option(tlsgrab: Grab, hit_line: Line) -> None:
    heard: list[str | None] = []
    context = server_context(identity())
    context.sni_callback = lambda _, name, __: heard.append(name)
    with talker(tls(context)) as target:
        names = ["own.test.", None, "192.0.2.1", "[2001:db8::1]", "BÜCHER.example"]
        got = await tlsgrab([hit_line(target, name) for name in names], server_name="default.test", concurrent=1)
    expected = ["own.test", "default.test", "default.test", "default.test", "xn--bcher-kva.example"]
    assert [got.of(target, name).sni for name in names] == expected
    assert sorted(map(str, heard)) == sorted(expected)


async def test_an_address_is_never_asked_for(tlsgrab: Grab, hit_line: Line) -> None:
    heard: list[str | None] = []
    context = server_context(identity())
    context.sni_callback = lambda _, name, __: heard.append(name)
    with talker(tls(context)) as target:
        got = await tlsgrab([hit_line(target, "192.0.2.1")])
    assert heard == [None]
    assert got.of(target, "192.0.2.1").sni is None


@pytest.mark.parametrize(
    "name", ["two words", "a..b", "-x.test", "x" * 64 + ".test", "1.2.3", "nul\0.test", "a/b", "."]
)
async def test_a_name_that_is_none_goes_to_the_dead_letters(tlsgrab: Grab, hit_line: Line, name: str) -> None:
    line = hit_line((fresh_address(), 443), name)
    got = await tlsgrab([line])
    assert got.records == []
    (letter,) = got.dead
    assert letter.value == line
    assert letter.headers["reason"] == DeadReason.TARGET.encode()


async def test_alpn_and_versions_are_options(tlsgrab: Grab, hit_line: Line) -> None:
    context = server_context(identity(), alpn=["spdy/1", "h2"])
    with talker(tls(context)) as target:
        got = await tlsgrab([hit_line(target)], alpn=("imap", "spdy/1"), versions="tls1.0-tls1.2")
    assert (got.of(target).alpn, got.of(target).version) == ("spdy/1", "TLSv1.2")


async def test_max_bytes_cuts(tlsgrab: Grab, hit_line: Line) -> None:
    """HelloRequests without end are what OpenSSL would read for ever."""

    def requests(connection: socket.socket) -> None:
        while True:
            connection.sendall(record(22, message(0, b"")) * 1_000)

    with talker(after_hello(requests)) as target:
        got = await tlsgrab([hit_line(target)], max_bytes="64KiB")
    assert got.ends(target) == (Outcome.PROTOCOL, Phase.HELLO)
    assert got.of(target).error == "cut after 65536 bytes"


async def test_a_chain_that_is_too_much_for_one_line(tlsgrab: Grab, hit_line: Line) -> None:
    """Cannot happen within MAX_MESSAGE; many small ones can."""
    many = [bytes((number >> 8, number & 255)) for number in range(20_000)]
    with talker(after_hello(talkers.hold(flight(many)))) as target:
        got = await tlsgrab([hit_line(target)])
    one = got.of(target)
    assert one.certificates == many[:MAX_CHAIN]
    assert "20000 certificates" in (one.error or "")
    assert len(one.dump()) < 100_000


# -- the log -----------------------------------------------------------------------------------------------------------


async def test_of_a_shared_log_only_hits_on_tls_ports_are_taken(tlsgrab: Grab, hit_line: Line) -> None:
    host = fresh_address()
    banner_port, imaps = (host, 80), (host, 993)
    other = Tls(scan="test", ts=0, ip=host, port=443, outcome=Outcome.OK, phase=Phase.FINISH)
    lines = [
        hit_line(banner_port),
        hit_line(imaps),
        hit_line((host, 443), success=False),
        hit_line((host, 443), repeat=True),
        hit_line((host, 443), transport="udp"),
        other.dump(),
        b"not a record",
        b'{"kind":"hit"}',
    ]
    got = await tlsgrab(lines, ports=None)
    assert [(r.ip, r.port, r.outcome) for r in got.records] == [(*imaps, Outcome.REFUSED)]
    assert (got.summary.taken, got.summary.skipped, got.summary.done, got.summary.dead) == (8, 5, 1, 2)
    assert {letter.headers["reason"] for letter in got.dead} == {b"undecodable", b"schema"}


async def test_port_0_goes_to_the_dead_letters(tlsgrab: Grab, hit_line: Line) -> None:
    got = await tlsgrab([hit_line((fresh_address(), 0))])
    assert [letter.headers["reason"] for letter in got.dead] == [b"target"]


async def test_a_blocked_address_is_answered_and_not_dialled(tlsgrab: Grab, hit_line: Line) -> None:
    connected = threading.Event()
    with talker(lambda _: connected.set()) as target:
        got = await tlsgrab([hit_line(target)], blocked=lambda ip: ip == target[0])
    assert got.ends(target) == (Outcome.BLOCKED, Phase.CONNECT)
    assert (got.summary.answered, got.summary.done) == (1, 0)
    assert not connected.is_set()


async def test_a_list_may_change_between_intake_and_dial(tlsgrab: Grab, hit_line: Line) -> None:
    asked: list[str] = []

    def blocked(ip: str) -> bool:
        asked.append(ip)
        return len(asked) > 1

    with talker(talkers.hold()) as target:
        got = await tlsgrab([hit_line(target)], blocked=blocked)
    assert got.ends(target) == (Outcome.BLOCKED, Phase.CONNECT)
    assert (got.summary.answered, got.summary.done) == (0, 1)


async def test_confined_the_stage_stops_and_says_why(
    tlsgrab: Grab, hit_line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(confine.VARIABLE, "1")
    confine.forget()
    monkeypatch.setattr("stages.core.flow.LOCAL_FIRST", 0.001)
    monkeypatch.setattr("stages.core.flow.LOCAL_CEILING", 0.001)
    try:
        with pytest.raises(HostError, match=r"192\.0\.2\.1"):
            await tlsgrab([hit_line(("192.0.2.1", 443))])
    finally:
        confine.forget()


async def test_a_fault_of_our_own_costs_one_record(
    tlsgrab: Grab, hit_line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = FullHandshake.receive

    def faulty(self: FullHandshake, data: bytes) -> bytes | None:
        if data.startswith(b"boom"):
            raise ZeroDivisionError("in receive")
        return receive(self, data)

    monkeypatch.setattr(FullHandshake, "receive", faulty)
    with talker(talkers.hold(b"boom")) as bad, talker(tls(server_context(identity()))) as good:
        got = await tlsgrab([hit_line(bad), hit_line(good)])
    assert got.of(good).outcome is Outcome.OK
    (letter,) = got.dead
    assert letter.headers["reason"] == b"bug"
    assert b"ZeroDivisionError: in receive" in letter.headers["error"]


async def test_many_at_once_each_gets_its_own(tlsgrab: Grab, hit_line: Line) -> None:
    """More than one slice of the poller."""
    who = identity()
    context = server_context(who, ssl.TLSVersion.TLSv1_2)
    with talker(tls(context), "0.0.0.0") as (_, port):
        targets = [(f"127.8.{number >> 8}.{number & 255}", port) for number in range(MAX_EVENTS * 6)]
        got = await tlsgrab([hit_line(target) for target in targets], handshake_timeout=10.0)
    assert {got.ends(target) for target in targets} == {(Outcome.OK, Phase.FINISH)}
    assert got.summary.done == len(targets)


async def test_handshakes_do_not_hold_the_loop() -> None:
    """The poller hands over a few sockets in one turn."""
    settings = TlsgrabSettings(mode="full")
    ours = TlsgrabStage(
        settings,
        mode_of(settings),
        topic="t",
        read=read_hit,
        routing=Routing.everything(),
        blocked=lambda _: False,
        metrics=TlsgrabMetrics(),
    )
    engine = ours.open_engine()
    assert getattr(engine._poller, "_max_events", MAX_EVENTS) == MAX_EVENTS
    await engine.close()


async def test_stopped_in_the_middle_nothing_is_left_open(hit_line: Line) -> None:
    """A deadline that has passed: what is in flight is dropped and comes again from the log."""
    bus, metrics = MemoryBus(partitions=1), Metrics()
    topics = Topics()
    with talker(talkers.hold()) as target:
        await bus.publisher().publish([Output(topics.hits, b"", hit_line(target))])
        runner = make_runner(
            TlsgrabSettings(ports="*", handshake_timeout=60.0),
            source=bus.source([topics.hits], "g"),
            publisher=bus.publisher(),
            topics=topics,
            runner=RunnerSettings(drain_deadline=0.2),
            blocked=lambda _: False,
            limits=None,
            shared=True,
            metrics=metrics,
        )
        running = asyncio.create_task(runner.run())
        opened = metrics["longline_tlsgrab_connections_open"]
        async with asyncio.timeout(10):
            while not opened.value:
                await asyncio.sleep(0.01)
            runner.stop()
            summary = await running
    assert (summary.done, summary.left, opened.value) == (0, 1, 0)
    assert (bus.lag("g"), bus.lines(topics.tls)) == (1, [])
