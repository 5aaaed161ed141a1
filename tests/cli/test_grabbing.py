"""What `scan --grab` says: words of the command line to dialogues and records."""

from __future__ import annotations

from typing import Any

import pytest

from stages.cli.grabbing import onward_of
from stages.cli.sections import SECTIONS
from stages.core.bus.base import Topics
from stages.core.errors import UsageError
from stages.core.outcome import Outcome
from stages.core.records import Banner, Hit, Tls, parse
from stages.core.settings import load
from stages.net.continuation import Fixed
from stages.net.conversation import Conversation
from stages.scanner.said import Grabbing, Onward

HIT = Hit("s", 0, "192.0.2.7", 80)


def onward(grab: dict[str, Any] | None = None, **sections: dict[str, Any]) -> Onward:
    argv = {"grab": grab or {}, **{name.rstrip("_"): typed for name, typed in sections.items()}}
    return onward_of(load(SECTIONS, argv=argv, environ={}, file=None), Topics())


def grabbing(what: str, **more: Any) -> Grabbing:
    made = onward({"what": what, **more}).grabbing
    assert made is not None
    return made


def ended(made: Grabbing, body: bytes = b"hello") -> Conversation:
    conversation = Conversation("192.0.2.7", 80, made.begin("192.0.2.7", 80), None, 1.0, 100)
    conversation.via, conversation.phase, conversation.connected = "raw", "read", 0.1
    conversation.data, conversation.size = [body], len(body)
    return conversation


def test_nothing_unless_asked() -> None:
    plain = onward()
    assert (plain.grabbing, plain.hold, plain.output) == (None, None, None)


def test_to_wait_is_compiled() -> None:
    made = grabbing("wait", read_timeout="2.5", idle_timeout="0.5", max_bytes="1000")
    assert made.fixed == Fixed(b"", 0.0, 2.5, 0.5, 30.0, 1000)
    assert made.name == "wait"


def test_a_payload_that_is_the_same_for_all_is_compiled(tmp_path: Any) -> None:
    (tmp_path / "words").write_bytes(b"HELP\r\n")
    made = grabbing(str(tmp_path / "words"), wait="1.5")
    assert made.fixed is not None
    assert (made.fixed.payload, made.fixed.wait) == (b"HELP\r\n", 1.5)
    assert made.render is not None


def test_a_payload_with_the_targets_address_is_a_dialogue() -> None:
    made = grabbing("http-req")
    assert made.fixed is None
    assert b"192.0.2.7" in made.begin("192.0.2.7", 80).opening()


@pytest.mark.parametrize("what", ["wait", "http-req", "ssh", "identify"])
def test_records_are_those_of_bannergrab(what: str) -> None:
    made = grabbing(what)
    outcome, line = made.record(ended(made), HIT)
    record = parse(line)
    assert isinstance(record, Banner)
    assert (record.hit, record.via, record.outcome, record.data) == (HIT.id, "raw", outcome, b"hello")
    late = parse(made.expired(HIT, 5))
    assert isinstance(late, Banner)
    assert (late.outcome, late.ts, late.probe) == (Outcome.EXPIRED, 5, record.probe)


def test_certificates() -> None:
    made = grabbing("tls")
    assert (made.topic, made.keep_data) == ("longline.tls.v1", False)
    outcome, line = made.record(ended(made, b"HTTP/1.0 400 Bad Request\r\n"), HIT)
    record = parse(line)
    assert isinstance(record, Tls)
    assert (record.mode, record.via, outcome) == ("certificate", "raw", record.outcome)
    assert isinstance(parse(made.expired(HIT, 5)), Tls)


def test_sections_of_the_grab_stages_hold_too() -> None:
    made = onward({"what": "wait"}, bannergrab={"read_timeout": "9", "data": "http-req", "wait": "1"}).grabbing
    assert made is not None
    assert made.fixed == Fixed(b"", 0.0, 9.0, 1.0, 30.0, 65_536)


@pytest.mark.parametrize(
    ("grab", "sections", "words"),
    [
        ({"what": "there-is-no-such-file"}, {}, "No such file"),
        ({"what": "tls", "wait": "1"}, {}, "--wait: is not for --grab tls"),
        ({"what": "ssh", "wait": "1"}, {}, "--grab ssh has none"),
        ({"what": "wait"}, {"scanner": {"probe_module": "icmp_echoscan"}}, "opens no connections"),
        ({"hold": True}, {"scanner": {"probe_module": "udp"}}, "opens no connections"),
        ({"what": "wait"}, {"scanner": {"dedup_method": "none"}}, "repeats"),
        ({}, {"continue_": {"max_syn_per_target": "2"}, "scanner": {"retries": "2"}}, "make 3 SYNs"),
    ],
)
def test_what_does_not_go_together(grab: dict[str, Any], sections: dict[str, dict[str, Any]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        onward(grab, **sections)


def test_connections_are_held_for_a_scanner_by_name() -> None:
    held = onward({"hold": True}, continue_={"scanner": "lab-3"})
    assert (held.hold, held.scanner, held.grabbing) == (10.0, "lab-3", None)
