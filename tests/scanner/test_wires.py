"""The choice among the ways out, where they are and where they are not."""

from __future__ import annotations

import json
import sys
from typing import Any

from stages.scanner import wires
from tests.servers.veth import FAR, Veth, veth

_OPEN = """
import json, sys
from dataclasses import replace
from stages.net import path
from stages.net.spans import Spans
from stages.scanner import probes, wires
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space
asked = json.loads(sys.argv[1])
target = asked['target']
way = path.find(Spans.of([(target, target)]), vlan=asked.get('vlan'), gateway_mac=bytes(6))
space = Space.build([(target, target + 9)], (80,))
def make(**more):
    return FrameBuilder(space, Permutation(10, 1), probes.get('tcp_synscan'), bytes(16), source_ips=(1,),
                        source_ports=(1, 9), batch=10, **more)
hold = wires.open_outlets(asked['hold'], way, 1, make) if 'hold' in asked else None
try:
    found = wires.open_outlets(asked['engine'], way, asked.get('threads', 1), make)
    print(json.dumps({'name': found.name, 'wires': len(found.wires), 'over': found.passed_over,
                      'offset': found.rows[0].offset}))
    found.close()
    found.close()
except OSError as error:
    print(json.dumps({'error': type(error).__name__, 'text': error.strerror}))
"""
TEN = 10 << 24


def opened(pair: Veth, engine: str = "auto", *before: str, **more: Any) -> dict[str, Any]:
    asked = json.dumps({"target": TEN, "engine": engine, **more})
    told: dict[str, Any] = json.loads(pair.near(*before, sys.executable, "-c", _OPEN, asked).stdout)
    return told


def test_on_an_ethernet() -> None:
    with veth() as pair:
        assert opened(pair) == {"name": "xdp", "wires": 1, "over": {}, "offset": 0}
        assert opened(pair, threads=3) == {
            "name": "xdp", "wires": 1, "over": {"3 threads": "near0 has 1 transmit queue(s), one for a thread"},
            "offset": 0,
        }  # fmt: skip
        assert opened(pair, "packet", threads=3) == {"name": "packet", "wires": 3, "over": {}, "offset": 0}
        assert opened(pair, "ip", threads=2) == {"name": "ip", "wires": 2, "over": {}, "offset": 14}
        taken = opened(pair, hold="xdp")
        assert taken["name"] == "packet"
        assert list(taken["over"]) == ["xdp"]
        assert "queue 0 of near0 is taken by another AF_XDP socket" in taken["over"]["xdp"]
        assert opened(pair, "xdp", hold="xdp")["error"] == "NoXdp"
        locked = opened(
            pair, "auto", "prlimit", "--memlock=0", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"
        )
        assert locked["name"] == "packet"
        assert "RLIMIT_MEMLOCK is 0" in locked["over"]["xdp"]
        no_right = opened(pair, "auto", "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
        assert no_right["error"] == "NoRawAccess"
        assert opened(pair, vlan=5)["name"] == "xdp"
        assert "no VLAN tags" in opened(pair, "ip", vlan=5)["text"]


def test_on_a_tunnel() -> None:
    with (
        veth() as pair,
        pair.program(pair.near_pid, sys.executable, "-m", "tests.servers.tunnel", str(pair.far_pid), ready="ready"),
    ):
        pair.near("ip", "addr", "add", "192.0.2.1/24", "dev", "tun0")
        pair.near("ip", "route", "replace", "10.0.0.0/8", "dev", "tun0")
        why = "interface tun0 has no Ethernet headers"
        assert opened(pair) == {"name": "ip", "wires": 1, "over": {"xdp": why, "packet": why}, "offset": 14}
        assert opened(pair, "xdp")["text"] == why
        nothing = opened(pair, vlan=5)
        assert nothing["text"] == f"xdp: {why}; packet: {why}; ip: raw IP sockets send no VLAN tags"


def test_the_best_comes_first() -> None:
    assert wires.ENGINES == ("xdp", "packet", "ip")
    assert FAR == "198.51.100.1"
