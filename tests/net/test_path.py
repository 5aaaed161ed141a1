from __future__ import annotations

import json
import sys

from tests.servers.veth import FAR, NEAR, Veth, veth

_ASK = """
import ipaddress, json, sys
from stages.net import path

def number(text):
    return int(ipaddress.IPv4Address(text))

targets, given = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for key in ('source_mac', 'gateway_mac'):
    if key in given:
        given[key] = bytes.fromhex(given[key])
try:
    found = path.find([number(target) for target in targets], **given)
    print(json.dumps({
        'interface': found.interface, 'source': str(ipaddress.IPv4Address(found.source)),
        'source_mac': found.source_mac.hex(':'), 'target_mac': found.target_mac.hex(':'), 'mtu': found.mtu,
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
        usual = {"interface": "near0", "source": NEAR, "source_mac": near, "target_mac": far, "mtu": 1500}

        assert find(pair, "10.0.0.1", "10.9.9.9") == usual  # the gateway is found by ARP
        assert find(pair, FAR) == usual  # the only target is on the link: ARP for itself
        assert find(pair, FAR, "10.0.0.1") == usual  # one of them behind the gateway decides
        given = {"source_mac": "020000000011", "gateway_mac": "020000000022", "source": 0x01020304}
        assert find(pair, "10.0.0.1", **given) == {
            **usual, "source": "1.2.3.4", "source_mac": "02:00:00:00:00:11", "target_mac": "02:00:00:00:00:22",
        }  # fmt: skip

        assert find(pair, FAR, "198.51.100.9")["error"] == "OnLink"
        assert find(pair, FAR, "198.51.100.9", gateway_mac="020000000022")["target_mac"] == "02:00:00:00:00:22"
        assert find(pair, NEAR) == {"error": "OwnAddress", "text": f"{NEAR} is an address of this host itself"}
        assert find(pair, "127.0.0.1")["error"] == "OwnAddress"
        assert find(pair, "10.0.0.1", interface="nothing0")["error"] == "InterfaceError"

        pair.near("ip", "route", "del", "default")
        assert find(pair, "10.0.0.1") == {"error": "NoRoute", "text": "no route to 10.0.0.1"}
        named = find(pair, "10.0.0.1", interface="near0", gateway_mac=far.replace(":", ""))
        assert named == usual

        pair.near("ip", "route", "add", "default", "via", "198.51.100.200")
        pair.near("ip", "neigh", "replace", "198.51.100.200", "lladdr", "02:00:00:00:00:33", "dev", "near0")
        assert find(pair, "10.0.0.1")["target_mac"] == "02:00:00:00:00:33"  # from the neighbour table

        pair.near("ip", "link", "set", "near0", "down")
        told = find(pair, "10.0.0.1", interface="near0")
        assert told == {"error": "InterfaceError", "text": "interface near0 is down"}
