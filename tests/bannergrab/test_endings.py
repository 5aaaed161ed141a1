from __future__ import annotations

import errno
from typing import Any

import pytest

from stages.bannergrab.endings import banner_of, blocked, outcome_of, told_of
from stages.core.outcome import Outcome, Phase
from stages.core.records import Hit, parse
from stages.net.conversation import Conversation
from stages.proto.banner import Script
from stages.proto.dialogues.registry import Named

HIT = Hit(scan="s1", ts=1_700_000_000_000_000, ip="192.0.2.7", port=22, vantage="v", name="example.org")


def conversation(**fields: Any) -> Conversation:
    made = Conversation("192.0.2.7", 22, Script().begin("192.0.2.7"), None, 4.0, 100)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"failed": True, "errno": errno.ECONNREFUSED}, Outcome.REFUSED),
        ({"failed": True, "errno": errno.ECONNREFUSED, "icmp": (3, 3, "192.0.2.1")}, Outcome.UNREACHABLE),
        ({"failed": True, "errno": errno.EHOSTUNREACH, "icmp": (3, 1, "192.0.2.1")}, Outcome.UNREACHABLE),
        ({"failed": True, "errno": errno.EHOSTUNREACH}, Outcome.UNREACHABLE),
        ({"failed": True, "errno": errno.EACCES, "icmp": (1, 1, "2001:db8::1")}, Outcome.UNREACHABLE),
        ({"failed": True, "errno": errno.ENETUNREACH, "left_host": False}, Outcome.LOCAL),
        ({"failed": True, "errno": errno.EMFILE, "left_host": False}, Outcome.LOCAL),
        ({"failed": True, "errno": errno.EADDRNOTAVAIL, "left_host": False}, Outcome.LOCAL),
        ({"failed": True, "errno": errno.ETIMEDOUT}, Outcome.TIMEOUT),
        ({"timed_out": True}, Outcome.TIMEOUT),
        ({"failed": True, "errno": errno.ECONNRESET, "phase": "read"}, Outcome.RESET),
        ({"failed": True, "errno": errno.EPIPE, "phase": "write"}, Outcome.RESET),
        ({"failed": True, "errno": errno.ECONNRESET, "phase": "read", "data": [b"x"], "size": 1}, Outcome.RESET),
        ({"phase": "read", "data": [b"x"], "size": 1}, Outcome.OK),
        ({"phase": "read", "data": [b"x"], "size": 1, "timed_out": True}, Outcome.OK),
        ({"phase": "read", "data": [b"x"], "size": 1, "errno": errno.EHOSTUNREACH, "timed_out": True}, Outcome.OK),
        ({"phase": "read"}, Outcome.EMPTY),
        ({"phase": "read", "timed_out": True}, Outcome.SILENT),
        ({"phase": "read", "timed_out": True, "errno": errno.EHOSTUNREACH}, Outcome.UNREACHABLE),
        ({"phase": "read", "timed_out": True, "errno": errno.ECONNREFUSED}, Outcome.UNREACHABLE),
        ({"phase": "write", "timed_out": True}, Outcome.TIMEOUT),
    ],
)
def test_outcomes_over_tcp(fields: dict[str, Any], outcome: Outcome) -> None:
    assert outcome_of(conversation(**fields)) is outcome


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"phase": "read", "timed_out": True}, Outcome.TIMEOUT),
        ({"phase": "read", "timed_out": True, "data": [b""]}, Outcome.OK),
        ({"phase": "read", "timed_out": True, "data": [b"x"], "size": 1}, Outcome.OK),
        (
            {"phase": "read", "failed": True, "errno": errno.ECONNREFUSED, "icmp": (3, 3, "192.0.2.7")},
            Outcome.UNREACHABLE,
        ),
        ({"phase": "read", "failed": True, "errno": errno.ECONNREFUSED}, Outcome.REFUSED),
    ],
)
def test_outcomes_over_udp(fields: dict[str, Any], outcome: Outcome) -> None:
    assert outcome_of(conversation(**fields), datagrams=True) is outcome


def test_the_record_says_all_that_is_known() -> None:
    ended = conversation(
        started=1_700_000_001_000_000,
        connected=0.0123456789,
        first_byte=0.5,
        ended=1.0,
        phase="read",
        failed=True,
        errno=errno.ECONNRESET,
        sent=3,
        size=5,
        data=[b"22", b"0 \xff"],
        truncated=True,
    )
    banner = banner_of(ended, HIT, Outcome.RESET, "wait", "tcp")
    again = parse(banner.dump())
    assert again == banner
    assert (banner.scan, banner.ip, banner.port, banner.vantage, banner.name) == ("s1", HIT.ip, 22, "v", "example.org")
    assert (banner.hit, banner.ts, banner.probe) == (HIT.id, 1_700_000_001_000_000, "wait")
    assert (banner.outcome, banner.phase, banner.errno, banner.icmp) == (Outcome.RESET, Phase.READ, "ECONNRESET", None)
    assert (banner.connect, banner.first_byte, banner.ended) == (0.012346, 0.5, 1.0)
    assert (banner.sent, banner.truncated, banner.data, banner.datagrams) == (3, True, b"220 \xff", None)


def test_icmp_and_unknown_errnos_in_the_record() -> None:
    ended = conversation(failed=True, errno=4242, icmp=(3, 13, "198.51.100.1"))
    banner = banner_of(ended, HIT, outcome_of(ended), "wait", "tcp")
    assert banner.errno == "4242"
    assert banner.icmp == {"type": 3, "code": 13, "responder": "198.51.100.1"}
    ended.icmp = (3, 13, "")
    assert banner_of(ended, HIT, Outcome.UNREACHABLE, "wait", "tcp").icmp == {"type": 3, "code": 13, "responder": None}


def test_datagrams_are_told_apart() -> None:
    ended = conversation(phase="read", data=[b"ab", b"", b"cde"], size=5)
    banner = banner_of(ended, HIT, Outcome.OK, "send:1", "udp")
    assert (banner.data, banner.datagrams) == (b"abcde", [2, 0, 3])


def test_blocked() -> None:
    banner = blocked(HIT, 1_700_000_002_000_000, "wait", "tcp")
    assert (banner.outcome, banner.phase, banner.hit, banner.data) == (Outcome.BLOCKED, Phase.CONNECT, HIT.id, b"")
    assert parse(banner.dump()) == banner


def test_what_a_named_dialogue_tells() -> None:
    talk = Named("http").begin("192.0.2.7", 80)
    ended = Conversation("192.0.2.7", 80, talk, None, 4.0, 100)
    talk.receive(b"HTTP/1.1 200 OK\r\n\r\nhello")
    ended.phase, ended.data, ended.size, ended.timed_out = "read", [b"HTTP/1.1 200 OK\r\n\r\nhello"], 24, True
    told = told_of(ended.dialogue)
    assert told is talk
    assert outcome_of(ended, told) is Outcome.OK
    banner = banner_of(ended, HIT, Outcome.OK, "http", "tcp", told)
    assert (banner.service, banner.facts) == ("http", {"version": "1.1", "body": 5, "whole": False, "status": 200})
    assert parse(banner.dump()) == banner


@pytest.mark.parametrize("fields", [{}, {"failed": True, "errno": errno.ECONNRESET}, {"timed_out": True}])
def test_bytes_that_break_the_protocol_say_more_than_how_it_ended(fields: dict[str, Any]) -> None:
    talk = Named("ssh").begin("192.0.2.7", 22)
    assert talk.receive(b"SSH-2.0-x\r\n" + b"\xff" * 9) is None
    ended = conversation(phase="read", data=[b"x"], size=1, **fields)
    assert outcome_of(ended, talk) is Outcome.PROTOCOL
    banner = banner_of(ended, HIT, Outcome.PROTOCOL, "ssh", "tcp", talk)
    assert (banner.service, banner.phase) == ("ssh", Phase.READ)
    assert banner.facts is not None
    assert "packet" in banner.facts["error"]


def test_what_others_tell() -> None:
    assert told_of(Script().begin("192.0.2.7")) is None
    talk = Named("http").begin("192.0.2.7", 80)
    refused = conversation(failed=True, errno=errno.ECONNREFUSED)
    assert outcome_of(refused, told_of(talk)) is Outcome.REFUSED
    banner = banner_of(refused, HIT, Outcome.REFUSED, "http", "tcp", talk)
    assert (banner.service, banner.facts) == (None, None)
