from __future__ import annotations

import json
import sys
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

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
    mac = None if found.gateway is None else route.neighbours(found.interface).get(found.gateway)
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
    assert route.neighbours("lo") == {}


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


_CONNECTED = """
import ipaddress, json
from stages.net import route
print(json.dumps([[str(ipaddress.IPv4Address(end)) for end in one] for one in route.connected('near0')]))
"""


def test_what_is_on_the_link() -> None:
    with veth() as pair:
        link = ["198.51.100.0", "198.51.100.255"]
        assert json.loads(pair.near(sys.executable, "-c", _CONNECTED).stdout) == [link]
        pair.near(
            "sh", "-ec",
            f"""
            ip route add 10.0.0.0/16 dev near0
            ip route add 10.0.5.0/24 via {FAR}
            ip route add 10.0.5.7/32 dev near0
            ip route add blackhole 10.0.255.0/24
            ip route add 10.9.0.0/16 dev near0 metric 50
            ip route add 10.9.0.0/16 via {FAR} metric 20
            """,
        )  # fmt: skip
        assert json.loads(pair.near(sys.executable, "-c", _CONNECTED).stdout) == [
            ["10.0.0.0", "10.0.4.255"], ["10.0.5.7", "10.0.5.7"], ["10.0.6.0", "10.0.254.255"], link,
        ]  # fmt: skip


PREFIXES = st.dictionaries(
    st.integers(0, 6).flatmap(lambda bits: st.integers(0, (64 >> bits) - 1).map(lambda n: (n << bits, 1 << bits))),
    st.booleans(),
    max_size=12,
)


@given(PREFIXES)
def test_the_smallest_prefix_decides(prefixes: dict[tuple[int, int], bool]) -> None:
    painted = route.paint([(first, first + size - 1, flag) for (first, size), flag in prefixes.items()])
    right = []
    for value in range(64):
        around = [(size, flag) for (first, size), flag in prefixes.items() if first <= value < first + size]
        if around and min(around)[1]:
            right.append(value)
    assert [value for first, last in painted for value in range(first, last + 1)] == right
    assert all(one[1] + 1 < other[0] for one, other in pairwise(painted))
