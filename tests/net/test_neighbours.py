from __future__ import annotations

import json
import sys

import pytest

from stages.net import neighbours
from stages.net.link import interface
from stages.net.path import OnLink
from stages.net.spans import Spans
from tests.servers.veth import FAR, Veth, veth

_ASK = """
import json, sys
from stages.net import neighbours
from stages.net.link import interface
from stages.net.spans import Spans
link = interface('near0')
try:
    found = neighbours.resolve_all(link, link.address, Spans.of(json.loads(sys.argv[1])), tries=2, wait=0.3)
    print(json.dumps({str(address): mac.hex(':') for address, mac in found.items()}))
except OSError as error:
    print(json.dumps({'error': type(error).__name__, 'text': error.strerror}))
"""
BASE = 0xC6336400


def ask(pair: Veth, *ranges: tuple[int, int]) -> dict[str, str]:
    told: dict[str, str] = json.loads(pair.near(sys.executable, "-c", _ASK, json.dumps(ranges)).stdout)
    return told


def test_those_who_are_there_are_found() -> None:
    with veth() as pair:
        there = [1, *range(100, 160)]
        for number in there[1:]:
            pair.far("ip", "addr", "add", f"198.51.100.{number}/32", "dev", "far0")
        pair.near("ip", "neigh", "add", "198.51.100.200", "lladdr", "02:00:00:00:00:09", "dev", "near0")
        mac = json.loads(pair.far("ip", "-j", "link", "show", "far0").stdout)[0]["address"]
        found = ask(pair, (BASE, BASE + 120), (BASE + 150, BASE + 255))
        right = {str(BASE + number): mac for number in there if not 120 < number < 150}
        assert found == {**right, str(BASE + 200): "02:00:00:00:00:09"}
        pair.near("ip", "link", "set", "near0", "down")
        assert "near0 is down" in ask(pair, (BASE, BASE + 9))["text"]
        pair.near("ip", "link", "del", "longline-sim")
        assert ask(pair, (BASE, BASE + 9))["error"] == "ConfinedError"


def test_no_more_than_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OnLink, match="65537 targets are on the link of lo itself"):
        neighbours.resolve_all(interface("lo"), 0x7F000001, Spans.of([(BASE, BASE + neighbours.MAX_NEIGHBOURS)]))


def test_the_far_address_is_what_the_tests_think() -> None:
    assert FAR == "198.51.100.1"
