"""`identify`: who speaks there, and what goes on on the same connection."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest

from stages.derive.sshkeys import fingerprint
from stages.proto.dialogues import http
from stages.proto.dialogues.esmtp import EHLO, QUIT
from stages.proto.dialogues.identify import MOMENT, begin
from stages.proto.dialogues.ssh import IDENTIFICATION
from stages.proto.dialogues.ssh_wire import exchange, goodbye
from stages.proto.recognise.registry import SERVICES
from tests.proto.dialogues.peers import PACE, Told, checked, converse, hear, target
from tests.proto.dialogues.test_esmtp import ANSWER, GREETING
from tests.proto.dialogues.test_http import ANSWER as PAGE
from tests.proto.dialogues.test_ssh import BLOB, ID, OURS, REPLY, kexinit
from tests.proto.recognise.test_registry import KNOWN
from tests.proto.rules.material import made
from tests.servers.tls_bytes import flight

LEAF = made({"CN": "a.example"}, kind="rsa2048", life=timedelta(days=9))
FLIGHT = flight([LEAF], 0x0303, 0x002F)
CHAIN = [sha256(LEAF).hexdigest()]


def asked(port: int) -> tuple[Told, bytes]:
    """One whose peer has been silent for a moment; what it was asked."""
    talk = begin(target(port), PACE)
    assert talk.opening() == b""
    assert talk.wait() == MOMENT
    said = talk.silence()
    assert said is not None
    assert talk.wait() == PACE.first
    return talk, said


@pytest.mark.parametrize("size", [1, 11, None])
@pytest.mark.parametrize("port", [22, 80, 443, 5432])
def test_ssh_on_any_port(port: int, size: int | None) -> None:
    talk = begin(target(port), PACE)
    assert talk.opening() == b""
    turns = [(ID, IDENTIFICATION + OURS), (kexinit(), exchange("ecdh-sha2-nistp256")), (REPLY, None)]
    converse(talk, turns, size)
    assert talk.farewell() == goodbye()
    assert (talk.service, talk.broken, talk.facts["said_first"]) == ("ssh", None, True)
    assert talk.facts["fingerprint"] == fingerprint(BLOB)


@pytest.mark.parametrize("size", [1, 11, None])
@pytest.mark.parametrize("port", [25, 80])
def test_smtp_on_any_port(port: int, size: int | None) -> None:
    talk = converse(begin(target(port), PACE), [(GREETING, EHLO), (ANSWER, None)], size)
    assert (talk.service, talk.facts["ehlo"], talk.farewell()) == ("smtp", 250, QUIT)


@pytest.mark.parametrize("size", [1, 11, None])
def test_ftp(size: int | None) -> None:
    talk = begin(target(21), PACE)
    assert hear(talk, b"220-Welcome\r\n220 (vsFTPd 3.0.3)\r\n", size) is None
    assert talk.service == "ftp"
    talk = converse(begin(target(4711), PACE), [(b"220 hello\r\n", EHLO), (b"500 what?\r\n", None)], size)
    assert (talk.service, talk.facts["greeting"]) == ("ftp", "hello")


@pytest.mark.parametrize("size", [1, 11, None])
@pytest.mark.parametrize("port", [80, 8080, 6379, 443])
def test_http_whatever_it_was_asked(port: int, size: int | None) -> None:
    talk, said = asked(port)
    if port in (80, 8080):
        assert said == http.request(target(port))
    assert hear(talk, PAGE, size) is None
    checked(talk)
    assert (talk.service, talk.facts["status"], talk.facts["whole"]) == ("http", 301, True)
    assert talk.facts["asked"] == {6379: "redis", 443: "tls"}.get(port, "http")


@pytest.mark.parametrize("size", [1, 100, None])
def test_tls_goes_on_to_the_certificate(size: int | None) -> None:
    talk, said = asked(443)
    assert said[:2] == b"\x16\3"
    assert hear(talk, FLIGHT, size) is None
    checked(talk)
    assert (talk.service, talk.broken, talk.facts["chain"]) == ("tls", None, CHAIN)
    assert talk.farewell()


def test_an_alert_to_something_else_is_tls_too() -> None:
    talk, _ = asked(8080)
    assert hear(talk, b"\x15\3\1\0\2\2\x46") == b""
    talk.eof()
    assert (talk.service, talk.facts) == ("tls", {"asked": "http"})


@pytest.mark.parametrize("size", [1, 100, None])
def test_postgres_with_tls(size: int | None) -> None:
    talk, _ = asked(5432)
    hello = talk.receive(b"S")
    assert hello is not None
    assert hello[:2] == b"\x16\3"
    assert hear(talk, FLIGHT, size) is None
    checked(talk)
    assert (talk.service, talk.facts["ssl"], talk.facts["chain"]) == ("postgres", "S", CHAIN)


def test_postgres_without_tls() -> None:
    talk, _ = asked(5432)
    assert talk.receive(b"N") is None
    assert (talk.service, talk.facts) == ("postgres", {"asked": "postgres", "ssl": "N"})


def test_an_s_that_was_none_of_postgres() -> None:
    talk, _ = asked(5432)
    assert hear(talk, ID, 1) is None
    talk.over()
    checked(talk)
    assert (talk.service, talk.broken) == ("ssh", None)
    assert "ssl" not in talk.facts


@pytest.mark.parametrize("size", [1, None])
@pytest.mark.parametrize(("service", "data"), KNOWN)
def test_each_greeting_is_named(service: str, data: bytes, size: int | None) -> None:
    for port in (4711, 443):
        talk, _ = asked(port)
        hear(talk, data, size)
        talk.eof()
        checked(talk)
        assert talk.service == service
        assert talk.service in SERVICES


@pytest.mark.parametrize(
    ("port", "data", "facts", "over"),
    [
        (3306, b"\x4a\0\0\0\x0a8.0.36-0ubuntu\0" + bytes(60), {"version": "8.0.36-0ubuntu"}, False),
        (6379, b"+PONG\r\n", {"greeting": "+PONG", "asked": "redis"}, True),
        (11211, b"VERSION 1.6.18\r\n", {"greeting": "VERSION 1.6.18"}, True),
        (5900, b"RFB 003.008\n", {"greeting": "RFB 003.008"}, True),
        (23, b"\xff\xfd\x18", {"asked": "none"}, False),
        (4711, b"what is this?\r\n", {"asked": "http", "greeting": "what is this?"}, False),
        (4711, b"\0\1\2\r\n", {"asked": "http"}, False),
    ],
)
def test_facts_of_the_others(port: int, data: bytes, facts: dict[str, object], over: bool) -> None:
    talk, _ = asked(port)
    assert (hear(talk, data) is None) is over
    talk.eof()
    checked(talk)
    assert facts.items() <= talk.facts.items()


def test_a_server_that_speaks_first_is_waited_for_twice() -> None:
    talk, said = asked(3306)
    assert said == b""
    assert talk.silence() is None


def test_what_breaks_the_dialogue_that_goes_on() -> None:
    talk = begin(target(22), PACE)
    assert hear(talk, ID) == IDENTIFICATION + OURS
    assert hear(talk, (16 << 20).to_bytes(4, "big")) is None
    assert (talk.service, talk.farewell()) == ("ssh", b"")
    assert talk.broken is not None


def test_a_first_segment_longer_than_the_look_is_heard_whole() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000
    talk, _ = asked(80)
    assert talk.receive(page) is None
    assert (talk.facts["body"], talk.facts["whole"]) == (60_000, True)


def test_nothing_came() -> None:
    talk, _ = asked(80)
    talk.eof()
    assert (talk.service, talk.facts, talk.broken) == (None, {}, None)
