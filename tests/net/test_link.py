from __future__ import annotations

import json
import sys

import pytest

from stages.net import link
from tests.servers.veth import FAR, Veth, veth

_ASK = """
import ipaddress, json, sys
from stages.net import link
name, wanted, tries = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    found = link.interface(name)
    link.check_usable(found)
    assert found.ethernet
    assert link.queues(name) == 1
    source, target = found.address, int(ipaddress.IPv4Address(wanted))
    mac = link.resolve(found, source, target, tries=tries, wait=0.05)
    print(json.dumps({'mac': mac.hex(':'), 'own': found.mac.hex(':'), 'mtu': found.mtu, 'index': found.index}))
except OSError as error:
    print(json.dumps({'error': type(error).__name__, 'text': error.strerror}))
"""


def ask(pair: Veth, name: str = "near0", wanted: str = FAR, tries: int = 3, **more: object) -> dict[str, object]:
    told: dict[str, object] = json.loads(pair.near(sys.executable, "-c", _ASK, name, wanted, str(tries)).stdout)
    return told


def test_loopback_is_what_it_is() -> None:
    found = link.interface("lo")
    assert (found.name, found.loopback, found.ethernet, found.address) == ("lo", True, True, 0x7F000001)
    assert not found.arp or found.mac == bytes(6)


@pytest.mark.parametrize("name", ["no-such-one", "", "a-name-of-16-byt"])
def test_no_such_interface(name: str) -> None:
    with pytest.raises(link.InterfaceError, match="no interface"):
        link.interface(name)


def test_on_a_veth() -> None:
    with veth() as pair:
        far = json.loads(pair.far("ip", "-j", "link", "show", "far0").stdout)[0]
        near = json.loads(pair.near("ip", "-j", "link", "show", "near0").stdout)[0]
        told = ask(pair)
        assert told == {"mac": far["address"], "own": near["address"], "mtu": 1500, "index": near["ifindex"]}

        silent = ask(pair, wanted="198.51.100.77", tries=2)
        assert silent == {"error": "NoNeighbour", "text": "198.51.100.77 does not answer ARP on near0"}

        pair.far("ip", "link", "set", "far0", "down")
        pair.near("sh", "-c", "until ip link show near0 | grep -q NO-CARRIER; do sleep 0.02; done")
        assert ask(pair) == {"error": "InterfaceError", "text": "interface near0 has no carrier"}

        pair.near("ip", "link", "set", "near0", "down")
        assert ask(pair) == {"error": "InterfaceError", "text": "interface near0 is down"}


def test_confined_means_no_arp_outside_a_simulated_network() -> None:
    with veth() as pair:
        pair.near("ip", "link", "del", "longline-sim")
        assert ask(pair)["error"] == "ConfinedError"


_KIND = """
import sys
from stages.net import link
for name in sys.argv[1:]:
    found = link.interface(name)
    link.check_usable(found)
    print(name, found.ethernet, link.queues(name))
"""


def test_links_of_other_kinds() -> None:
    with (
        veth() as pair,
        pair.program(pair.near_pid, sys.executable, "-m", "tests.servers.tunnel", str(pair.far_pid), ready="ready"),
    ):
        pair.near(
            "sh", "-ec",
            """
            ip link add many0 numtxqueues 3 numrxqueues 2 type veth peer name many1 numtxqueues 2 numrxqueues 3
            ip link set many0 up
            ip link set many1 up
            """,
        )  # fmt: skip
        told = pair.near(sys.executable, "-c", _KIND, "many0", "many1", "tun0", "lo").stdout.splitlines()
    assert told == ["many0 True 3", "many1 True 2", "tun0 False 1", "lo True 1"]


def test_no_such_interface_has_one_queue() -> None:
    assert link.queues("no-such-one") == 1
