"""The words for how a handshake of our own ended."""

from __future__ import annotations

import os

import pytest

from stages.core.outcome import Outcome, Phase
from stages.proto.starttls.registry import BY_NAME
from stages.proto.tls.offers import MODERN
from stages.proto.tls.script import Stop, script_of
from stages.tlsgrab.handshake import OwnHandshake, StarttlsHandshake
from tests.servers.tls_bytes import alert, certificate, extension, flight, record, server_hello

HELLO = record(22, server_hello(0x0303, 0x002F))
STAPLED = record(22, server_hello(0x0303, 0x002F, extension(5, b"")) + certificate([b"leaf"]))


def own(**options: object) -> OwnHandshake:
    script = script_of(MODERN, **options)
    return OwnHandshake(script, None, os.urandom(script.random_bytes))


@pytest.mark.parametrize(
    ("data", "outcome", "phase"),
    [
        (b"", None, Phase.HELLO),
        (HELLO, None, Phase.CERTIFICATE),
        (flight([b"leaf"]), Outcome.OK, Phase.CERTIFICATE),
        (STAPLED, Outcome.OK, Phase.CERTIFICATE),
        (STAPLED + alert(2, 80), Outcome.OK, Phase.CERTIFICATE),
        (alert(2, 40), Outcome.ALERT, Phase.HELLO),
        (HELLO + alert(2, 40), Outcome.ALERT, Phase.CERTIFICATE),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Outcome.PROTOCOL, Phase.HELLO),
        (HELLO + HELLO, Outcome.PROTOCOL, Phase.CERTIFICATE),
    ],
)
def test_outcome_and_phase(data: bytes, outcome: Outcome | None, phase: Phase) -> None:
    one = own()
    one.opening()
    if data:
        one.receive(data)
    one.give_up()
    assert (one.outcome, one.phase) == (outcome, phase)
    assert list(one.chain()) == ([b"leaf"] if outcome is Outcome.OK else [])


def test_a_hello_is_all_that_was_asked_for() -> None:
    one = own(stop=Stop.HELLO)
    one.opening()
    assert one.receive(HELLO) is None
    assert (one.outcome, one.phase) == (Outcome.OK, Phase.HELLO)


def test_inside_another_protocol() -> None:
    one = StarttlsHandshake("pop3", BY_NAME["pop3"](None), own())
    assert (one.outcome, one.phase, one.chain()) == (None, Phase.HELLO, ())
    assert one.facts() == {"error": None, "starttls": "pop3"}
    one.receive(b"+OK\r\n")
    one.give_up()
    assert one.outcome is None
    one.receive(b"+OK\r\n")
    assert one.receive(flight([b"leaf"])) is None
    one.give_up()
    assert (one.outcome, one.phase, list(one.chain())) == (Outcome.OK, Phase.CERTIFICATE, [b"leaf"])
    assert one.facts()["starttls"] == "pop3"
    assert one.facts()["version"] == "TLSv1.2"


def test_a_server_that_does_not_let_tls_begin() -> None:
    one = StarttlsHandshake("pop3", BY_NAME["pop3"](None), own())
    assert one.receive(b"-ERR no\r\n") is None
    assert (one.outcome, one.phase) == (Outcome.PROTOCOL, Phase.HELLO)
    assert one.facts()["error"].startswith("pop3: the greeting was not answered as it should be: ")
