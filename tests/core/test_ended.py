"""What a grab reads of a connection that has ended."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from stages.core.ended import failure_of, fields_of, phase_of, seconds, silence_of
from stages.core.outcome import Outcome, Phase, Via
from stages.net.conversation import Conversation
from stages.proto.banner import Script


def conversation(**fields: Any) -> Conversation:
    made = Conversation("192.0.2.7", 22, Script().begin("192.0.2.7"), None, 4.0, 100)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(("phase", "named"), [("connect", Phase.CONNECT), ("write", Phase.WRITE), ("read", Phase.READ)])
def test_phases(phase: str, named: Phase) -> None:
    assert phase_of(conversation(phase=phase)) is named


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, None),
        ({"timed_out": True}, None),
        ({"errno": errno.EHOSTUNREACH}, None),
        ({"failed": True, "errno": errno.ECONNREFUSED}, Outcome.REFUSED),
        ({"failed": True, "errno": errno.ECONNREFUSED, "icmp": (3, 3, "192.0.2.1")}, Outcome.UNREACHABLE),
        ({"failed": True, "errno": errno.EHOSTUNREACH}, Outcome.UNREACHABLE),
        ({"failed": True, "errno": errno.ENETUNREACH, "left_host": False}, Outcome.LOCAL),
        ({"failed": True, "errno": errno.EMFILE, "left_host": False}, Outcome.LOCAL),
        ({"failed": True, "errno": None}, Outcome.LOCAL),
        ({"failed": True, "errno": errno.ETIMEDOUT}, Outcome.TIMEOUT),
        ({"failed": True, "errno": errno.ECONNRESET, "phase": "read", "size": 1}, Outcome.RESET),
        ({"failed": True, "errno": errno.EPIPE, "phase": "write"}, Outcome.RESET),
    ],
)
def test_what_the_kernel_says(fields: dict[str, Any], outcome: Outcome | None) -> None:
    assert failure_of(conversation(**fields)) is outcome


@pytest.mark.parametrize(
    ("fields", "outcome", "datagrams"),
    [
        ({"phase": "read"}, Outcome.EMPTY, Outcome.EMPTY),
        ({"phase": "read", "size": 1}, None, None),
        ({"phase": "read", "data": [b""]}, None, None),
        ({"phase": "connect", "timed_out": True}, Outcome.TIMEOUT, Outcome.TIMEOUT),
        ({"phase": "write", "timed_out": True}, Outcome.TIMEOUT, Outcome.TIMEOUT),
        ({"phase": "read", "timed_out": True}, Outcome.SILENT, Outcome.TIMEOUT),
        ({"phase": "read", "timed_out": True, "size": 1}, Outcome.TIMEOUT, Outcome.TIMEOUT),
        ({"phase": "read", "timed_out": True, "errno": errno.EHOSTUNREACH}, Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        (
            {"phase": "read", "timed_out": True, "errno": errno.EHOSTUNREACH, "size": 1},
            Outcome.UNREACHABLE,
            Outcome.UNREACHABLE,
        ),
    ],
)
def test_what_silence_says(fields: dict[str, Any], outcome: Outcome | None, datagrams: Outcome | None) -> None:
    assert silence_of(conversation(**fields)) is outcome
    assert silence_of(conversation(**fields), datagrams=True) is datagrams


def test_fields_of_a_record() -> None:
    ended = conversation(
        started=1_700_000_001_000_000, connected=0.0123456789, first_byte=0.5, ended=1.0, errno=errno.ECONNRESET
    )
    assert fields_of(ended) == {
        "ts": 1_700_000_001_000_000,
        "via": Via.CONNECT,
        "errno": "ECONNRESET",
        "icmp": None,
        "connect": 0.012346,
        "first_byte": 0.5,
        "ended": 1.0,
        "control": None,
    }


def test_a_peer_of_the_scanners_own_connection_that_takes_no_byte_is_silent() -> None:
    """It has answered the SYN, as middleboxes do for every address, and acknowledged nothing since."""
    assert silence_of(conversation(phase="write", timed_out=True)) is Outcome.TIMEOUT
    assert silence_of(conversation(phase="write", timed_out=True, via="raw")) is Outcome.SILENT


def test_icmp_and_unknown_errnos() -> None:
    fields = fields_of(conversation(errno=4242, icmp=(3, 13, "198.51.100.1")))
    assert (fields["errno"], fields["icmp"]) == ("4242", {"type": 3, "code": 13, "responder": "198.51.100.1"})
    assert fields_of(conversation(icmp=(3, 13, "")))["icmp"] == {"type": 3, "code": 13, "responder": None}


def test_durations_are_rounded_to_what_is_measured() -> None:
    assert seconds(None) is None
    assert seconds(0.12345678) == 0.123457
