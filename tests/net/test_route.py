from __future__ import annotations

import json
import sys

from stages.net import route
from tests.servers.veth import FAR, NEAR, Veth, veth

_ASK = """
import asyncio, ipaddress, json, sys
from stages.net import route

def number(text):
    return int(ipaddress.IPv4Address(text))

def text(address):
    return None if address is None else str(ipaddress.IPv4Address(address))

async def main():  # inside a loop that turns, as the app asks
    try:
        found = route.route(number(sys.argv[1]), sys.argv[2] or None)
    except OSError as error:
        return {'error': type(error).__name__, 'text': error.strerror}
    mac = None if found.gateway is None else route.neighbour(found.interface, found.gateway)
    return {'interface': found.interface, 'gateway': text(found.gateway), 'source': text(found.source),
            'local': found.local, 'mac': None if mac is None else mac.hex(':')}

print(json.dumps(asyncio.run(main())))
"""


def ask(pair: Veth, target: str, interface: str = "") -> dict[str, object]:
    told: dict[str, object] = json.loads(pair.near(sys.executable, "-c", _ASK, target, interface).stdout)
    return told


def test_loopback_is_local() -> None:
    found = route.route(0x7F000001)
    assert (found.interface, found.local, found.gateway) == ("lo", True, None)
    assert route.neighbour("lo", 0x7F000001) is None


def test_in_a_namespace() -> None:
    with veth() as pair:
        through = {"interface": "near0", "gateway": FAR, "source": NEAR, "local": False}
        assert ask(pair, "10.1.2.3") == {**through, "mac": None}
        pair.near("ip", "neigh", "replace", FAR, "lladdr", "02:00:00:00:00:05", "dev", "near0")
        assert ask(pair, "10.1.2.3") == {**through, "mac": "02:00:00:00:00:05"}
        assert ask(pair, "10.1.2.3", "near0") == {**through, "mac": "02:00:00:00:00:05"}
        assert ask(pair, FAR)["gateway"] is None
        assert ask(pair, NEAR)["local"] is True
        pair.near("ip", "route", "del", "default")
        assert ask(pair, "10.1.2.3") == {"error": "NoRoute", "text": "no route to 10.1.2.3"}
