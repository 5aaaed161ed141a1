from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from stages.simnet.responder_spec import MAX_DELAYS, Reaction, Responder, parse_shares, request


def test_a_responder_survives_json() -> None:
    made = Responder(
        ("10.64.0.0/16", "10.1.0.0/24"), {"synack": 0.25, "rst": 0.5}, (0.5, 10.0), 0.125, {"tls": 0.5}, 400, 300, 0.25,
        1.0,
    )  # fmt: skip
    assert Responder.of(json.loads(json.dumps(asdict(made)))) == made
    asked = json.loads(request(7, made, "far0", "02:00:00:00:00:01", [b"\x16\x03"]))
    assert asked["flights"] == ["1603"]
    assert Responder.of(asked["responder"]) == made
    assert (asked["seed"], asked["interface"], asked["mac"]) == (7, "far0", "02:00:00:00:00:01")


def test_ranges_are_in_order() -> None:
    assert Responder(("10.1.0.0/24", "10.0.0.0/31")).ranges == ((0x0A000000, 0x0A000001), (0x0A010000, 0x0A0100FF))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"targets": ()}, "without targets"),
        ({"targets": ("10.0.0.1/8",)}, "host bits"),
        ({"shares": {"synak": 0.5}}, "no reaction 'synak'; there are silence, synack"),
        ({"shares": {"synack": 1.5}}, "share synack is 1.5"),
        ({"shares": {"synack": 0.6, "rst": 0.6}}, "1.2 together"),
        ({"loss": 2.0}, "loss is 2.0"),
        ({"delays": (4000.0,)}, "delays"),
        ({"delays": (1.0,) * (MAX_DELAYS + 1)}, "at most 8"),
        ({"delays": (), "shares": {"delayed": 0.1}}, "there is no delay"),
        ({"says": {"htp": 0.5}}, "no conversation 'htp'; there are deaf, mute, http"),
        ({"says": {"http": 0.6, "tls": 0.6}}, "what it says are 1.2 together"),
        ({"back": -0.1}, "loss on the way back is -0.1"),
        ({"body": 5000}, r"body is 5000, not in \[0, 4096\]"),
        ({"segment": 10}, "segment is 10"),
        ({"again": -1.0}, "again is -1.0"),
    ],
    ids=str,
)
def test_what_cannot_be(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Responder(**{"targets": ("10.0.0.0/8",), **wrong})


def test_shares_as_text() -> None:
    assert parse_shares("synack=0.5, rst=0.25") == {"synack": 0.5, "rst": 0.25}
    for wrong, text in (("synack", "name=share"), ("synack=x", "'x' is not a number"), ("a=1,a=1", "twice")):
        with pytest.raises(ValueError, match=text):
            parse_shares(wrong)


def test_the_default_holds_every_kind_that_networks_have() -> None:
    shares = Responder(("10.0.0.0/8",)).shares
    assert {Reaction[name.upper()] for name in shares} >= {Reaction.SYNACK, Reaction.RST, Reaction.ICMP_8}
