"""`certificate` and `hello` mode inside the real runner, against servers on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from typing import Any

import pytest

from stages.core.bus.base import Output, Topics
from stages.core.bus.memory import MemoryBus
from stages.core.outcome import Outcome, Phase
from stages.core.politeness import Limits
from stages.core.records import Tls, parse
from stages.core.settings import RunnerSettings
from stages.tlsgrab.app import make_runner
from stages.tlsgrab.settings import TlsgrabSettings
from tests.servers import talkers
from tests.servers.certificates import identity, server_context
from tests.servers.talkers import Handler, full, nobody, talker
from tests.servers.tls_bytes import UNREADABLE, alert, flight, flight13, message, record, server_hello

Grab = Callable[..., Any]
Line = Callable[..., bytes]

#: Bytes of memory that a hostile peer may make us take, at most: its bound is 512 KiB on the wire.
MEMORY = 16 * 2**20


def tls(context: ssl.SSLContext) -> Handler:
    """One handshake, or as much of it as the client wants."""

    def handler(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as wrapped:
                wrapped.recv(1)
        except ssl.SSLError:
            pass

    return handler


def after_hello(then: Handler) -> Handler:
    def handler(connection: socket.socket) -> None:
        connection.recv(65_536)
        then(connection)

    return handler


def by_hello(answer: Callable[[bytes], bytes | None]) -> Handler:
    """Answer a hello; None: close without a word."""

    def handler(connection: socket.socket) -> None:
        hello = connection.recv(65_536)
        said = answer(hello)
        if said is not None:
            connection.sendall(said)
            connection.recv(1)
        connection.close()

    return handler


async def test_every_outcome_is_told_apart(tlsgrab: Grab, hit_line: Line) -> None:
    who = identity()
    hello = record(22, server_hello(0x0303, 0x009C))
    stop = threading.Event()
    ok, protocol = Outcome.OK, Outcome.PROTOCOL
    servers = {
        "good 1.3": (talker(tls(server_context(who, ssl.TLSVersion.TLSv1_3))), ok, Phase.CERTIFICATE),
        "good 1.2": (talker(tls(server_context(who, ssl.TLSVersion.TLSv1_2))), ok, Phase.CERTIFICATE),
        "good 1.0": (talker(tls(server_context(who, ssl.TLSVersion.TLSv1))), ok, Phase.CERTIFICATE),
        "hand made 1.3": (talker(by_hello(lambda h: flight13(h, who.chain))), ok, Phase.CERTIFICATE),
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
        "SSLv2": (talker(after_hello(talkers.say(b"\x80\x03\x00\x00\x01"))), protocol, Phase.HELLO),
        "unreadable": (talker(after_hello(talkers.hold(flight([UNREADABLE])))), ok, Phase.CERTIFICATE),
        "SSLv3": (talker(after_hello(talkers.hold(flight(who.chain, 0x0300, 0x002F)))), ok, Phase.CERTIFICATE),
        "anonymous": (
            talker(after_hello(talkers.hold(record(22, server_hello(0x0301, 0x0018) + message(12, b"dh"))))),
            ok,
            Phase.CERTIFICATE,
        ),
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
    for name in "good 1.3", "good 1.2", "good 1.0", "hand made 1.3", "SSLv3":
        assert one[name].certificates == who.chain
        assert one[name].chain == [sha256(der).hexdigest() for der in who.chain]
    assert one["unreadable"].certificates == [UNREADABLE]
    assert one["anonymous"].certificates == []
    assert one["anonymous"].cipher_suite == "TLS_DH_anon_WITH_RC4_128_MD5"
    for name in "good 1.3", "SSLv3", "stuck", "late alert":
        shown = one[name].server_hello
        assert shown is not None
        assert bytes.fromhex(shown["raw"])[2:34].hex() == shown["random"]
    assert {record.mode for record in one.values()} == {"certificate"}
    assert (one["good 1.2"].hello, one["good 1.2"].connections) == ("modern", 1)
    assert "an SSLv2 error" in (one["SSLv2"].error or "")
    assert "plain text (HTTP)" in (one["plain"].error or "")
    assert b"220 mail".hex() in (one["mail"].error or "")
    assert (one["alert"].alert, one["alert"].connections) == ("handshake_failure", 2)
    assert got.metrics["longline_tlsgrab_handshakes"].total == len(expected)
    assert got.metrics["longline_tlsgrab_connections_open"].value == 0


async def test_hello_mode_asks_for_no_more(tlsgrab: Grab, hit_line: Line) -> None:
    who = identity()
    contexts = [server_context(who, ssl.TLSVersion.TLSv1_2), server_context(who, ssl.TLSVersion.TLSv1_3)]
    with ExitStack() as stack:
        targets = [stack.enter_context(talker(tls(context))) for context in contexts]
        got = await tlsgrab([hit_line(target) for target in targets], mode="hello")
    for target, version in zip(targets, ("TLSv1.2", "TLSv1.3"), strict=True):
        one = got.of(target)
        assert (one.outcome, one.phase, one.version, one.chain, one.mode) == (
            Outcome.OK, Phase.HELLO, version, [], "hello",
        )  # fmt: skip


async def test_we_say_that_we_go(tlsgrab: Grab, hit_line: Line) -> None:
    """A clean close_notify, also under the keys of TLS 1.3; then a RST."""
    heard: dict[str, object] = {}

    def server(name: str, version: ssl.TLSVersion) -> Handler:
        context = server_context(identity(), version)

        def handler(connection: socket.socket) -> None:
            try:
                with context.wrap_socket(connection, server_side=True):
                    heard[name] = "shaken"
            except ssl.SSLError as error:
                heard[name] = type(error).__name__, error.reason

        return handler

    with (
        talker(server("1.2", ssl.TLSVersion.TLSv1_2)) as first,
        talker(server("1.3", ssl.TLSVersion.TLSv1_3)) as second,
    ):
        got = await tlsgrab([hit_line(first), hit_line(second)])
    assert {record.outcome for record in got.records} == {Outcome.OK}
    # SSLZeroReturnError is how ssl tells a close_notify; anything else would be a complaint about our bytes.
    assert {name: kind for name, (kind, _) in heard.items()} == {  # type: ignore[misc]
        "1.2": "SSLZeroReturnError", "1.3": "SSLZeroReturnError",
    }  # fmt: skip


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_no_question(tlsgrab: Grab, hit_line: Line, version: ssl.TLSVersion) -> None:
    with talker(tls(server_context(identity(), version, client=ssl.CERT_REQUIRED))) as target:
        got = await tlsgrab([hit_line(target)])
    assert got.ends(target) == (Outcome.OK, Phase.CERTIFICATE)
    assert got.of(target).certificates == identity().chain


# -- another hello -----------------------------------------------------------------------------------------------------


def legacy_version(hello: bytes) -> int:
    return int.from_bytes(hello[9:11], "big")


async def test_servers_that_do_not_understand_the_first_hello(tlsgrab: Grab, hit_line: Line) -> None:
    who = identity()
    old = flight(who.chain, 0x0300, 0x0005)

    def by_suite(hello: bytes) -> bytes:
        """Two suites of export strength, as they stand beside each other in our hello."""
        return flight(who.chain, 0x0303, 0x0003) if b"\0\x06\0\x03" in hello else alert(2, 40)

    servers: dict[str, tuple[Callable[[bytes], bytes | None], int, str]] = {
        "version alert": (lambda h: old if legacy_version(h) <= 0x0301 else alert(2, 70), 2, "old"),
        "closes": (lambda h: old if legacy_version(h) <= 0x0301 else None, 2, "old"),
        "short ones only": (lambda h: old if len(h) < 256 else alert(2, 50), 2, "old"),
        "weak suites": (by_suite, 2, "wide"),
        "ssl3 only": (lambda h: old if legacy_version(h) == 0x0300 else alert(2, 70), 3, "ancient"),
    }
    with ExitStack() as stack:
        targets = {name: stack.enter_context(talker(by_hello(answer))) for name, (answer, _, _) in servers.items()}
        got = await tlsgrab([hit_line(target) for target in targets.values()], max_connections=3)
        twice = await tlsgrab([hit_line(target) for target in targets.values()], max_connections=2)
        once = await tlsgrab([hit_line(target) for target in targets.values()], max_connections=1)
    for name, target in targets.items():
        one = got.of(target)
        _, connections, hello = servers[name]
        assert (one.outcome, one.connections, one.hello) == (Outcome.OK, connections, hello), name
        assert one.certificates == who.chain
        alone = once.of(target)
        assert (alone.connections, alone.hello) == (1, "modern")
        assert alone.outcome in (Outcome.ALERT, Outcome.EMPTY)
    assert (twice.of(targets["ssl3 only"]).outcome, twice.of(targets["ssl3 only"]).connections) == (Outcome.ALERT, 2)
    assert twice.of(targets["closes"]).outcome is Outcome.OK
    assert got.summary.done == len(servers)
    assert got.metrics["longline_tlsgrab_fallbacks"].total == len(servers) + 1
    assert once.metrics["longline_tlsgrab_fallbacks"].total == 0


async def test_the_range_of_versions_bounds_what_is_tried(tlsgrab: Grab, hit_line: Line) -> None:
    seen: list[int] = []

    def answer(hello: bytes) -> bytes:
        seen.append(legacy_version(hello))
        return alert(2, 70)

    with talker(by_hello(answer)) as target:
        got = await tlsgrab([hit_line(target)], versions="tls1.2-tls1.3", max_connections=9)
    assert seen == [0x0303, 0x0303]
    assert (got.of(target).alert, got.of(target).connections) == ("protocol_version", 2)


# -- names -------------------------------------------------------------------------------------------------------------


async def test_many_names_of_one_address_come_one_after_the_other(hit_line: Line) -> None:
    """Lines in any order; one connection to the host at once, also for what follows from its certificates."""
    who = {name: identity(name) for name in ("one.test", "two.test", "three.test")}
    contexts = {name: server_context(each) for name, each in who.items()}
    default = server_context(identity("default.test"))
    open_now, most = 0, 0
    lock = threading.Lock()

    def choose(wrapped: ssl.SSLObject, name: str | None, _: object) -> None:
        wrapped.context = contexts.get(name or "", default)

    default.sni_callback = choose

    def handler(connection: socket.socket) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        try:
            tls(default)(connection)
        finally:
            with lock:
                open_now -= 1

    bus, topics = MemoryBus(partitions=1), Topics()
    with talker(handler) as (host, port):
        lines = [f"{host},{port},{name}".encode() for name in ("two.test", "three.test", "one.test")]
        lines.insert(1, f"{host},{port}".encode())
        publisher = bus.publisher()
        await publisher.publish([Output(topics.hits, b"", line) for line in lines])
        runner = make_runner(
            TlsgrabSettings(follow_names=5, ports="*"),
            source=bus.source([topics.hits], "g"),
            publisher=publisher,
            topics=topics,
            runner=RunnerSettings(flush_age=0.01),
            blocked=lambda _: False,
            limits=Limits(per_host=1, per_prefix=0, rate=0),
            shared=False,
            scan="test",
        )
        running = asyncio.create_task(runner.run())
        async with asyncio.timeout(20):
            while bus.lag("g") or not runner.idle:
                await asyncio.sleep(0.01)
        runner.stop()
        summary = await running
    records = [each for each in map(parse, bus.lines(topics.tls)) if isinstance(each, Tls)]
    assert most == 1
    assert [each.name for each in records] == ["two.test", None, "three.test", "one.test", "default.test"]
    for each in records:
        expected = who.get(each.name or "", identity("default.test"))
        assert each.certificates == expected.chain
        assert each.sni == each.name
    assert (summary.taken, summary.done, summary.left) == (4, 5, 0)


async def test_names_in_certificates_are_followed_within_the_budget(tlsgrab: Grab, hit_line: Line) -> None:
    """Each certificate names the next: a server that would go on for ever."""
    heard: list[str | None] = []
    context = server_context(identity("n0.test"))

    def choose(wrapped: ssl.SSLObject, name: str | None, _: object) -> None:
        heard.append(name)
        number = int(name.removeprefix("n").removesuffix(".test")) if name else -1
        wrapped.context = server_context(identity(f"n{number + 1}.test"))

    context.sni_callback = choose
    with talker(tls(context)) as target:
        got = await tlsgrab([hit_line(target)], follow_names=3)
    assert heard == [None, "n0.test", "n1.test", "n2.test"]
    assert [each.name for each in got.records] == heard
    assert len({each.id for each in got.records}) == 4
    assert got.metrics["longline_tlsgrab_followed_names"].total == 3


async def test_addresses_as_names_only_when_asked_for(tlsgrab: Grab) -> None:
    heard: list[str | None] = []
    context = server_context(identity())
    context.sni_callback = lambda _, name, __: heard.append(name)
    with talker(tls(context)) as (host, port):
        line = f"{host},{port},192.0.2.7".encode()
        plain = await tlsgrab([line], shared=False)
        literal = await tlsgrab([line], shared=False, sni_literal=True)
        default = await tlsgrab([f"{host},{port}".encode()], shared=False, sni_literal=True, server_name="192.0.2.8")
    assert heard == [None, "192.0.2.7", "192.0.2.8"]
    assert [got.records[0].sni for got in (plain, literal, default)] == heard
    assert [got.records[0].name for got in (plain, literal, default)] == [None, "192.0.2.7", None]


async def test_a_bad_line_goes_to_the_dead_letters_and_the_run_goes_on(tlsgrab: Grab) -> None:
    with talker(tls(server_context(identity()))) as (host, port):
        lines = [f"{host},{port},two words", f"{host},{port},-x.test", f"{host},{port},a.test", "x,443", f"{host},0"]
        got = await tlsgrab([line.encode() for line in lines], shared=False)
    assert [(each.name, each.outcome) for each in got.records] == [("a.test", Outcome.OK)]
    assert sorted(letter.value.decode() for letter in got.dead) == sorted(lines[:2] + lines[3:])


# -- STARTTLS ----------------------------------------------------------------------------------------------------------


def mail(context: ssl.SSLContext, *, offers: bool = True) -> Handler:
    """A mail server that knows three commands."""

    def handler(connection: socket.socket) -> None:
        connection.sendall(b"220-mx.test\r\n220 ESMTP\r\n")
        with connection.makefile("rb") as lines:
            assert lines.readline().startswith(b"EHLO ")
            connection.sendall(b"250-mx.test\r\n250-STARTTLS\r\n250 OK\r\n" if offers else b"250 OK\r\n")
            if not offers:
                connection.recv(1)
                return
            assert lines.readline() == b"STARTTLS\r\n"
        connection.sendall(b"220 go\r\n")
        tls(context)(connection)

    return handler


@pytest.mark.parametrize("mode", ["certificate", "hello", "full"])
async def test_inside_smtp(tlsgrab: Grab, hit_line: Line, mode: str) -> None:
    who = identity()
    with (
        talker(mail(server_context(who))) as good,
        talker(mail(server_context(who), offers=False)) as without,
        talker(talkers.hold(b"554 no\r\n")) as rude,
        talker(talkers.hold()) as silent,
        talker(talkers.say()) as empty,
    ):
        targets = [good, without, rude, silent, empty]
        got = await tlsgrab([hit_line(target) for target in targets], mode=mode, starttls="smtp")
    assert [got.of(target).outcome for target in targets] == [
        Outcome.OK, Outcome.PROTOCOL, Outcome.PROTOCOL, Outcome.SILENT, Outcome.EMPTY,
    ]  # fmt: skip
    assert {got.of(target).starttls for target in targets} == {"smtp"}
    assert got.of(good).certificates == ([] if mode == "hello" else who.chain)
    assert "smtp: TLS is not offered" in (got.of(without).error or "")
    assert {got.of(target).connections for target in targets} == {1}


# -- hostile peers -----------------------------------------------------------------------------------------------------


def endless(first: bytes, again: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(first)
        while True:
            connection.sendall(again)

    return handler


async def test_hostile_peers_are_bounded(tlsgrab: Grab, hit_line: Line) -> None:
    """Bytes, time and memory; and the outcome says what happened."""
    hello = record(22, server_hello(0x0303, 0x002F))
    part = record(22, bytes(16_000))
    many = [bytes((number >> 8, number & 255)) for number in range(10_000)]
    servers: dict[str, tuple[Handler, Outcome, str]] = {
        "empty records": (endless(hello, record(22, b"") * 1_000), Outcome.PROTOCOL, "more than 16 empty handshake"),
        "zeros": (endless(hello + record(22, b"\x0b\3\xff\xff"), part), Outcome.PROTOCOL, "length of the certificate"),
        "16 MB": (endless(hello + record(22, b"\x0b\xff\xff\xff"), part), Outcome.PROTOCOL, "of 16777215 bytes"),
        "hello requests": (endless(hello, record(22, message(0, b"") * 500)), Outcome.PROTOCOL, "HelloRequests"),
        "hellos": (endless(hello, hello * 100), Outcome.PROTOCOL, "a second ServerHello"),
        "warnings": (endless(b"", alert(1, 112) * 500), Outcome.PROTOCOL, "more than 8 warnings"),
        "a chain of 10,000": (after_hello(talkers.hold(flight(many))), Outcome.OK, "a chain of 10000 certificates"),
        "data": (endless(hello, record(23, bytes(16_000))), Outcome.PROTOCOL, "application data"),
        "noise": (endless(b"", bytes(range(256)) * 200), Outcome.PROTOCOL, "not TLS but bytes"),
        "one byte a record": (
            endless(hello + record(22, b"\x0b\3\xff\xff"), record(22, b"x") * 4_000), Outcome.PROTOCOL, "cut after",
        ),
    }  # fmt: skip
    with ExitStack() as stack:
        targets = {name: stack.enter_context(talker(handler)) for name, (handler, _, _) in servers.items()}
        lines = [hit_line(target) for target in targets.values()]
        tracemalloc.start()
        try:
            got = await tlsgrab(lines, handshake_timeout=10.0, max_connections=1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    for name, (_, outcome, error) in servers.items():
        one = got.of(targets[name])
        assert (one.outcome, error in (one.error or "")) == (outcome, True), (name, one.outcome, one.error)
        assert len(one.dump()) < 100_000
    assert peak < MEMORY
