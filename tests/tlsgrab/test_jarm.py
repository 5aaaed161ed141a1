"""Ten hellos to one target: the same hash as pyjarm and zgrab2 have, and what becomes of targets that do not play."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stages.core.outcome import Outcome, Phase
from stages.core.records import Hit, Tls
from stages.proto.tls.client import LINGER
from stages.proto.tls.jarm import HELLOS, NOTHING, ZERO
from stages.tlsgrab.jarm import JarmHandshake, Jarming, jarm_name, next_hello
from tests.require import require
from tests.servers import talkers
from tests.servers.certificates import identity, server_context
from tests.servers.pyjarm import pyjarm
from tests.servers.talkers import Handler, fresh_address, nobody, talker
from tests.servers.tls_bytes import alert, extension, record, server_hello
from tests.servers.tls_peers import gnutls, golang
from tests.servers.tlsserver import tlsserver
from tests.servers.zgrab2 import zgrab2
from tests.tlsgrab.test_real_servers import s_server

Grab = Callable[..., Any]
Line = Callable[..., bytes]


@pytest.fixture
def tlsgrab(tlsgrab: Grab) -> Grab:
    return partial(tlsgrab, mode="jarm")


# -- beside the peers --------------------------------------------------------------------------------------------------


def by_zgrab2(target: tuple[str, int], folder: Path) -> str:
    """zgrab2 wants a blocklist that is there, and lets loopback in if told so."""
    (folder / "none").touch()
    argv = [str(zgrab2()), "jarm", "-p", str(target[1]), "-b", str(folder / "none"), "-s", "1"]
    ran = subprocess.run(argv, input=f"{target[0]}\n", capture_output=True, text=True, timeout=60, check=True)
    said = json.loads(ran.stdout)["data"]["jarm"]
    assert said["status"] == "success", said
    fingerprint: str = said["result"]["fingerprint"]
    return fingerprint


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first time it has Go build zgrab2
async def test_as_pyjarm_and_zgrab2_have_it(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    require(shutil.which("openssl"), "openssl (Debian: openssl)")
    zgrab2()
    old = ("-cipher", "ALL:@SECLEVEL=0")
    variants: dict[str, tuple[str, tuple[str, ...]]] = {
        "ec": ("ec", ()),
        "rsa": ("rsa", ()),
        "rsa 1.2": ("rsa", ("-tls1_2",)),
        "rsa 1.1": ("rsa", ("-tls1_1", *old)),
        "rsa 1.0": ("rsa", ("-tls1", *old)),
        "1.3 only": ("ec", ("-tls1_3",)),
        "retry": ("ec", ("-tls1_3", "-groups", "P-384")),
        "alpn": ("rsa", ("-alpn", "h2,http/1.1")),
        "ours first": ("rsa", ("-serverpref", *old)),
        "one suite": ("rsa", ("-tls1_2", "-cipher", "AES128-SHA")),
        "no ticket": ("rsa", ("-no_ticket", "-legacy_renegotiation")),
    }
    with ExitStack() as stack:
        targets = {
            name: stack.enter_context(s_server(tmp_path, identity(kind=kind, middles=0), *options))
            for name, (kind, options) in variants.items()
        }
        host = fresh_address()
        targets["nginx"] = (host, stack.enter_context(tlsserver(identity(kind="rsa"), "TLSv1.2 TLSv1.3")))
        http2 = tlsserver(identity(), "TLSv1.2", "http2_max_requests 10; ssl_prefer_server_ciphers on;")
        targets["nginx 1.2"] = (host, stack.enter_context(http2))
        host = fresh_address()
        fields = [{"Alpn": ["h2", "http/1.1"]}, {"Max": 0x0303, "NoTicket": True}]
        ports = stack.enter_context(golang(host, [(identity(kind="rsa"), each) for each in fields]))
        targets["go"], targets["go 1.2"] = ((host, port) for port in ports)
        targets["gnutls"] = stack.enter_context(gnutls(identity(kind="rsa"), "NORMAL"))
        got = await tlsgrab([hit_line(target) for target in targets.values()], handshake_timeout=10.0)
        theirs = dict(zip(targets, pyjarm(list(targets.values())), strict=True))
        scans = (asyncio.to_thread(by_zgrab2, target, tmp_path) for target in targets.values())  # it waits, mostly
        others = dict(zip(targets, await asyncio.gather(*scans), strict=True))
    ours = {name: got.of(target).jarm for name, target in targets.items()}
    assert ours == others
    assert ours == theirs
    assert ZERO not in ours.values()
    assert len(set(ours.values())) >= len(targets) - 3, "servers that differ have other hashes, all but a few"
    for target in targets.values():
        one = got.of(target)
        assert (one.outcome, one.phase, one.mode, one.connections) == (Outcome.OK, Phase.HELLO, "jarm", 10)
        assert len(one.answers) == 10
        assert one.version is not None


# -- those that do not play --------------------------------------------------------------------------------------------


def answering(*answers: Handler) -> tuple[Handler, list[int]]:
    """One handler after the other, the last one for all that follow; and how many connections came."""
    count = [0]

    def handler(connection: socket.socket) -> None:
        number = count[0]
        count[0] += 1
        connection.recv(4096)
        answers[min(number, len(answers) - 1)](connection)

    return handler, count


HELLO = record(22, server_hello(0x0303, 0xC02F, extension(0xFF01, b"\0"), bytes(32)))


async def test_who_speaks_no_tls_is_asked_once(tlsgrab: Grab, hit_line: Line) -> None:
    handler, count = answering(talkers.say(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with talker(handler) as plain, nobody() as closed:
        got = await tlsgrab([hit_line(plain), hit_line(closed)])
    one = got.of(plain)
    assert (one.outcome, one.jarm, one.answers, one.connections, count[0]) == (Outcome.PROTOCOL, None, None, 1, 1)
    assert "plain text (HTTP)" in one.error
    assert (got.of(closed).outcome, got.of(closed).connections) == (Outcome.REFUSED, 1)


async def test_who_refuses_all_ten_has_the_hash_of_nothing(tlsgrab: Grab, hit_line: Line) -> None:
    handler, count = answering(talkers.say(alert(2, 40)))
    reset, resets = answering(talkers.reset)
    with talker(handler) as target, talker(reset) as other:
        got = await tlsgrab([hit_line(target), hit_line(other)])
    one = got.of(target)
    assert (one.outcome, one.alert, one.jarm, one.answers) == (Outcome.ALERT, "handshake_failure", ZERO, None)
    assert (one.connections, count[0]) == (10, 10)
    assert (got.of(other).outcome, got.of(other).jarm, resets[0]) == (Outcome.RESET, ZERO, 10)


async def test_who_stays_silent_is_given_up(tlsgrab: Grab, hit_line: Line) -> None:
    handler, count = answering(talkers.hold())
    with talker(handler) as target:
        got = await tlsgrab([hit_line(target)], handshake_timeout=0.2, jarm_failures=2)
    one = got.of(target)
    assert (one.outcome, one.jarm, one.connections, count[0]) == (Outcome.SILENT, None, 3, 3)


async def test_a_hello_met_with_silence_is_not_answered(tlsgrab: Grab, hit_line: Line) -> None:
    handler, count = answering(talkers.hold(HELLO), talkers.hold(), talkers.hold(HELLO))
    with talker(handler) as target:
        got = await tlsgrab([hit_line(target)], handshake_timeout=0.3)
    one = got.of(target)
    assert (one.outcome, one.connections, count[0]) == (Outcome.OK, 10, 10)
    assert one.answers == ["c02f|0303||ff01", NOTHING, *["c02f|0303||ff01"] * 8]
    assert one.jarm.startswith("29d00029d29d")


async def test_one_after_the_other(tlsgrab: Grab, hit_line: Line) -> None:
    """A second connection while the first is open would find the talker busy; the name goes into every hello."""
    heard: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        heard.append(connection.recv(4096))
        connection.sendall(HELLO + record(22, bytes(80)))
        assert connection.recv(1) == b"", "a RST raises, which is a close as well"

    with talker(handler) as target, talker(handler) as other:
        got = await tlsgrab([hit_line(target, "jarm.test"), hit_line(other)], concurrent=2)
    assert len(heard) == 20
    assert sum(b"jarm.test" in hello for hello in heard) == 10
    assert sum(other[0].encode() in hello for hello in heard) == 10
    assert got.of(target, "jarm.test").sni == "jarm.test"


async def test_a_real_server_in_pieces(tlsgrab: Grab, hit_line: Line) -> None:
    whole = server_context(identity(), ssl.TLSVersion.TLSv1_2)

    def handler(connection: socket.socket) -> None:
        with whole.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    with talker(handler) as target:
        got = await tlsgrab([hit_line(target)])
    assert got.of(target).jarm is not None


# -- pure --------------------------------------------------------------------------------------------------------------

HIT = Hit(scan="s", ts=0, ip="192.0.2.1", port=443)


def one(outcome: Outcome, *, connect: float | None = 0.1, version: str | None = None) -> Tls:
    phase = Phase.HELLO if connect is not None else Phase.CONNECT
    return Tls(scan="s", ts=1, ip=HIT.ip, port=443, outcome=outcome, phase=phase, connect=connect, version=version)


def play(*records: Tls, failures: int = 3) -> tuple[Tls | Jarming, int]:
    """Each record in turn; what came in the end, and after how many."""
    step: Tls | Jarming = Jarming(scan="s", ts=0, ip=HIT.ip, port=443)
    hit: Hit = HIT
    for number, each in enumerate(records, 1):
        step = next_hello(hit, each, "c02f|0303||" if each.version else NOTHING, failures)
        if isinstance(step, Tls):
            return step, number
        hit = step
    return step, len(records)


OK = partial(one, Outcome.OK, version="TLSv1.2")


def test_a_connection_that_fails_later_is_made_again() -> None:
    step, count = play(OK(), one(Outcome.TIMEOUT, connect=None), *(OK() for _ in range(9)))
    assert isinstance(step, Tls)
    assert (count, step.connections, step.outcome) == (11, 11, Outcome.OK)
    assert step.jarm is not None
    assert len(step.answers or ()) == 10


def test_too_many_failures_give_no_hash() -> None:
    step, count = play(OK(), *(one(Outcome.REFUSED, connect=None) for _ in range(9)), failures=2)
    assert isinstance(step, Tls)
    assert (count, step.connections, step.outcome, step.phase) == (4, 4, Outcome.REFUSED, Phase.CONNECT)
    assert (step.jarm, step.answers, step.version) == (None, ["c02f|0303||"], "TLSv1.2")


def test_never_more_than_ten_and_the_failures() -> None:
    silent = [one(Outcome.SILENT), OK(), *(one(Outcome.RESET, connect=None) for _ in range(2))]
    step, count = play(*silent, *(OK() for _ in range(20)))
    assert isinstance(step, Tls)
    assert (count, step.jarm is None) == (12, False)


def test_the_next_hello_is_the_next() -> None:
    step, _ = play(OK(), OK(), one(Outcome.ALERT))
    assert isinstance(step, Jarming)
    assert step.hello == HELLOS[3].name == "jarm4"


def test_what_is_named() -> None:
    assert jarm_name(b"a.test", "192.0.2.1") == b"a.test"
    assert jarm_name(None, "fe80::1%eth0") == b"fe80::1"


def test_an_answer_in_any_pieces() -> None:
    for size in range(1, len(HELLO) + 1):
        handshake = JarmHandshake("jarm7", b"a.test", bytes(64), first=1.0, idle=9.0, total=5.0)
        assert handshake.opening()
        assert handshake.idle == LINGER
        for at in range(0, len(HELLO), size):
            more = handshake.receive(HELLO[at : at + size])
        assert more is None or len(HELLO) < 85
        assert handshake.answer == "c02f|0303||ff01"
        assert (handshake.outcome, handshake.facts()["hello"]) == (Outcome.OK, "jarm7")
