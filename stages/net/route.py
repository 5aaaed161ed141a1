"""Routes and neighbours by rtnetlink (rtnetlink(7)), through pyroute2: which interface, source and gateway lead to a
target, and what MAC the kernel knows for a neighbour.

pyroute2 runs an event loop of its own for each call, which a thread whose loop already turns cannot do. So each
question is asked in a short thread; it inherits the network namespace of the one that asks (namespaces(7)).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

#: States of a neighbour entry whose MAC is to be believed (linux/neighbour.h): reachable, stale, delay, probe, noarp,
#: permanent. A stale one may be wrong, but the kernel itself would use it.
_NUD_VALID: Final = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
_NO_MAC: Final = "00:00:00:00:00:00"  # what an interface without ARP notes for its neighbours
_RTN_UNICAST: Final = 1
_RTN_LOCAL: Final = 2
_TABLE_MAIN: Final = 254

_T = TypeVar("_T")


class NoRoute(OSError):
    """The kernel has no route to a target."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a packet to a target would go. Addresses as u32; `gateway` None: the target is on the link."""

    interface: str
    gateway: int | None
    source: int | None
    local: bool  #: the target is one of our own addresses (and so goes through loopback)


def route(target: int, interface: str | None = None) -> Route:
    """The kernel's route to `target` (u32), through `interface` if one is named. Raises NoRoute, OSError."""
    name = str(ipaddress.IPv4Address(target))
    through = {} if interface is None else {"oif": socket.if_nametoindex(interface)}
    try:
        answer: Any = _ask(lambda netlink: next(iter(netlink.route("get", dst=name, **through))))
    except NetlinkError as error:
        where = "" if interface is None else f" through {interface}"
        raise NoRoute(errno.ENETUNREACH, f"no route to {name}{where}") from error
    return Route(
        interface=socket.if_indextoname(answer.get("oif")),
        gateway=_address(answer.get("gateway")),
        source=_address(answer.get("prefsrc")),
        local=answer["type"] == _RTN_LOCAL,
    )


def neighbours(interface: str) -> dict[int, bytes]:
    """The MACs that the kernel knows for addresses (u32) on `interface`."""
    index = socket.if_nametoindex(interface)
    entries = _ask(lambda netlink: list(netlink.get_neighbours(family=socket.AF_INET, ifindex=index)))
    return {
        int(ipaddress.IPv4Address(entry.get("dst"))): bytes.fromhex(entry.get("lladdr").replace(":", ""))
        for entry in entries
        if entry["state"] & _NUD_VALID and entry.get("lladdr", _NO_MAC) != _NO_MAC
    }


def connected(interface: str) -> list[tuple[int, int]]:
    """Ranges (first, last) of addresses which the main table says are on the link of `interface`, without a gateway.

    The most specific route to an address decides, and of several to one prefix that of the lowest metric.
    """
    index = socket.if_nametoindex(interface)
    routes = _ask(lambda netlink: list(netlink.get_routes(family=socket.AF_INET, table=_TABLE_MAIN)))
    best: dict[tuple[int, int], tuple[int, bool]] = {}
    for entry in routes:
        first = int(ipaddress.IPv4Address(entry.get("dst") or "0.0.0.0"))
        prefix = first, first + (1 << (32 - entry["dst_len"])) - 1
        near = entry["type"] == _RTN_UNICAST and entry.get("oif") == index and entry.get("gateway") is None
        metric = entry.get("priority") or 0
        if prefix not in best or metric < best[prefix][0]:
            best[prefix] = metric, near
    return paint([(first, last, near) for (first, last), (_, near) in best.items()])


def paint(prefixes: list[tuple[int, int, bool]]) -> list[tuple[int, int]]:
    """Ranges of the addresses for which the smallest prefix (first, last, flag) that holds them has its flag set.

    Prefixes lie within each other or apart.
    """
    out: list[tuple[int, int]] = []
    around: list[tuple[int, bool]] = []  # (last, flag), the smallest at the end
    at = 0

    def until(end: int) -> None:
        nonlocal at
        if around and around[-1][1] and at <= end:
            if out and out[-1][1] == at - 1:
                out[-1] = out[-1][0], end
            else:
                out.append((at, end))
        at = max(at, end + 1)

    for first, last, flag in sorted(prefixes, key=lambda prefix: (prefix[0], -prefix[1])):
        while around and around[-1][0] < first:
            until(around[-1][0])
            around.pop()
        until(first - 1)
        around.append((last, flag))
    while around:
        until(around[-1][0])
        around.pop()
    return out


def _ask(question: Callable[[IPRoute], _T]) -> _T:
    def run() -> _T:
        with IPRoute() as netlink:
            return question(netlink)

    with ThreadPoolExecutor(1, "netlink") as pool:
        return pool.submit(run).result()


def _address(text: str | None) -> int | None:
    return None if text is None else int(ipaddress.IPv4Address(text))
