from __future__ import annotations

import json
import sys

import pytest

from stages.net import path
from tests.servers.veth import FAR, NEAR, Veth, veth

_ASK = """
import ipaddress, json, sys
from stages.net import path
from stages.net.spans import Spans

def number(text):
    return int(ipaddress.IPv4Address(text))

targets, given = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for key in ('source_mac', 'gateway_mac'):
    if key in given:
        given[key] = bytes.fromhex(given[key])
try:
    ends = [(target.partition('-')[0], target.rpartition('-')[2]) for target in targets]
    found = path.find(Spans.of([(number(first), number(last)) for first, last in ends]), **given)
    print(json.dumps({
        'interface': found.interface, 'source': str(ipaddress.IPv4Address(found.source)),
        'source_mac': found.source_mac.hex(':'), 'target_mac': found.target_mac and found.target_mac.hex(':'),
        'mtu': found.mtu, 'near': [[str(ipaddress.IPv4Address(end)) for end in one] for one in found.near],
        'ethernet': found.ethernet,
    }))
except OSError as error:
    print(json.dumps({'error': type(error).__name__, 'text': error.strerror}))
"""


def find(pair: Veth, *targets: str, **given: object) -> dict[str, object]:
    argv = (sys.executable, "-c", _ASK, json.dumps(targets), json.dumps(given))
    told: dict[str, object] = json.loads(pair.near(*argv).stdout)
    return told


def test_paths() -> None:
    with veth() as pair:
        far = json.loads(pair.far("ip", "-j", "link", "show", "far0").stdout)[0]["address"]
        near = json.loads(pair.near("ip", "-j", "link", "show", "near0").stdout)[0]["address"]
        usual = {
            "interface": "near0", "source": NEAR, "source_mac": near, "target_mac": far, "mtu": 1500, "near": [],
            "ethernet": True,
        }  # fmt: skip
        link = ["198.51.100.0", "198.51.100.255"]

        assert find(pair, "10.0.0.1", "10.9.9.9") == usual  # the gateway is found by ARP
        assert find(pair, FAR) == {**usual, "target_mac": None, "near": [[FAR, FAR]]}
        mixed = {**usual, "near": [link]}
        assert find(pair, "10.0.0.1", "198.51.99.0-198.51.101.9") == mixed  # gateway and neighbours
        assert find(pair, "198.51.100.9", "203.0.113.1") == {**usual, "near": [["198.51.100.9"] * 2]}
        given = {"source_mac": "020000000011", "gateway_mac": "020000000022", "source": 0x01020304}
        assert find(pair, "10.0.0.1", **given) == {
            **usual, "source": "1.2.3.4", "source_mac": "02:00:00:00:00:11", "target_mac": "02:00:00:00:00:22",
        }  # fmt: skip
        named = find(pair, "198.51.100.5-198.51.100.9", gateway_mac="020000000022")
        assert named == {**usual, "target_mac": "02:00:00:00:00:22"}  # it takes all
        assert find(pair, "198.51.100.5", macs=False) == {
            **usual, "source_mac": "00:00:00:00:00:00", "target_mac": "00:00:00:00:00:00",
        }  # fmt: skip

        assert find(pair, NEAR) == {"error": "OwnAddress", "text": f"{NEAR} is an address of this host itself"}
        assert find(pair, "127.0.0.1")["error"] == "OwnAddress"
        assert find(pair, "10.0.0.1", interface="nothing0")["error"] == "InterfaceError"

        pair.near("ip", "route", "del", "default")
        assert find(pair, "10.0.0.1") == {"error": "NoRoute", "text": "no route to 10.0.0.1"}
        assert find(pair, "10.0.0.1", "198.51.100.0-198.51.100.255")["near"] == [link]  # some can be reached
        assert find(pair, "10.0.0.1", "198.51.100.0-198.51.100.255")["target_mac"] is None
        named = find(pair, "10.0.0.1", interface="near0", gateway_mac=far.replace(":", ""))
        assert named == usual

        pair.near("ip", "route", "add", "10.5.0.0/16", "dev", "near0")
        assert find(pair, "10.5.1.1")["near"] == [["10.5.1.1", "10.5.1.1"]]
        pair.near("ip", "route", "add", "default", "via", "198.51.100.200")
        pair.near("ip", "neigh", "replace", "198.51.100.200", "lladdr", "02:00:00:00:00:33", "dev", "near0")
        assert find(pair, "10.0.0.1")["target_mac"] == "02:00:00:00:00:33"  # from the neighbour table

        argv = (sys.executable, "-m", "tests.servers.tunnel", str(pair.far_pid))
        with pair.program(pair.near_pid, *argv, ready="ready"):
            pair.near("ip", "addr", "add", "192.0.2.1/24", "dev", "tun0")
            tunnel = find(pair, "192.0.2.7")
        assert (tunnel["ethernet"], tunnel["source"], tunnel["near"]) == (False, "192.0.2.1", [])

        pair.near("ip", "link", "set", "near0", "down")
        told = find(pair, "10.0.0.1", interface="near0")
        assert told == {"error": "InterfaceError", "text": "interface near0 is down"}


def test_own_source_addresses() -> None:
    path.check_source(0x7F000001)
    with pytest.raises(path.NotOurs, match=r"192\.0\.2\.77 is not an address of this host"):
        path.check_source(0xC000024D)
