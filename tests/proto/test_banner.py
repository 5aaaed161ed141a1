from __future__ import annotations

import hashlib

import pytest

from stages.proto.banner import FieldsTalk, Script
from stages.proto.payload import Payload
from stages.proto.until import parse_until

GET = Payload.parse(b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n")


def test_wait_says_nothing_ever() -> None:
    talk = Script(first=3.0, idle=1.5, total=9.0).begin("192.0.2.1")
    assert talk.opening() == b""
    assert (talk.wait(), talk.idle, talk.total) == (3.0, 1.5, 9.0)
    assert talk.receive(b"220 ready\r\n") == b""
    assert talk.silence() is None
    assert talk.eof() is None


def test_send_says_it_at_once_and_waits_for_the_answer() -> None:
    talk = Script(payload=GET, first=3.0).begin("192.0.2.1")
    assert talk.opening() == b"GET / HTTP/1.0\r\nHost: 192.0.2.1\r\n\r\n"
    assert talk.wait() == 3.0
    assert talk.silence() is None


def test_wait_send_says_it_only_into_silence() -> None:
    talk = Script(payload=GET, wait=0.5, first=3.0).begin("192.0.2.1")
    assert talk.opening() == b""
    assert talk.wait() == 0.5
    assert talk.silence() == b"GET / HTTP/1.0\r\nHost: 192.0.2.1\r\n\r\n"
    assert talk.wait() == 3.0
    assert talk.silence() is None


def test_until_ends_it_wherever_the_bytes_are_cut() -> None:
    script = Script(until=parse_until(r"\n$"))
    greeting = b"220 ready\r\n"
    for cut in range(len(greeting)):
        talk = script.begin("192.0.2.1")
        assert talk.receive(greeting[:cut]) == b""
        assert talk.receive(greeting[cut:]) is None


@pytest.mark.parametrize(
    ("script", "stateless"),
    [
        (Script(), True),
        (Script(payload=Payload.parse(b"QUIT\r\n")), True),
        (Script(payload=GET), False),
        (Script(payload=Payload.parse(b"QUIT\r\n"), wait=1.0), False),
        (Script(until=parse_until("x")), False),
    ],
)
def test_what_can_be_shared(script: Script, stateless: bool) -> None:
    assert script.stateless is stateless


def test_the_probe_names_the_dialogue_and_its_payload() -> None:
    digest = hashlib.sha256(GET.template).hexdigest()[:12]
    assert Script().probe == "wait"
    assert Script(payload=GET).probe == f"send:{digest}"
    assert Script(payload=GET, wait=1.0).probe == f"wait-send:{digest}"
    assert Script(payload=Payload.parse(b"%s")).probe != Script(payload=Payload.parse(b"%%s")).probe


def test_a_payload_with_fields_is_rendered_when_our_side_is_known() -> None:
    script = Script(payload=Payload.parse_fields(b"${SADDR}:${SPORT}>${DADDR}:${DPORT} ${RAND_ALPHA=8}"), secret=b"key")
    assert not script.stateless
    assert script.probe.startswith("send:")

    def said(address: str, port: int, ours: str = "192.0.2.2") -> bytes:
        talk = script.begin(address, port)
        assert isinstance(talk, FieldsTalk)
        talk.local(ours, 40000, 5)
        return talk.opening()

    first = said("10.0.0.1", 80)
    assert first.startswith(b"192.0.2.2:40000>10.0.0.1:80 ")
    assert said("10.0.0.1", 80) == first  # the same for the same target
    assert said("10.0.0.1", 81)[-8:] != first[-8:]
    assert said("fe80::1%eth0", 80, "fe80::2%eth0").startswith(b"fe80::2:40000>fe80::1:80 ")
    other = Script(payload=script.payload, secret=b"other")
    talk = other.begin("10.0.0.1", 80)
    assert isinstance(talk, FieldsTalk)
    talk.local("192.0.2.2", 40000, 5)
    assert talk.opening()[-8:] != first[-8:]


def test_fields_behind_a_wait() -> None:
    script = Script(payload=Payload.parse_fields(b"${DPORT}"), wait=1.0)
    talk = script.begin("10.0.0.1", 80)
    assert isinstance(talk, FieldsTalk)
    talk.local("192.0.2.2", 1, 1)
    assert (talk.opening(), talk.silence(), talk.silence()) == (b"", b"80", None)
