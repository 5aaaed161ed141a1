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
_RTN_LOCAL: Final = 2

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


def neighbour(interface: str, address: int) -> bytes | None:
    """The MAC that the kernel knows for `address` (u32) on `interface`; None if it knows none."""
    name = str(ipaddress.IPv4Address(address))
    index = socket.if_nametoindex(interface)
    for entry in _ask(lambda netlink: list(netlink.get_neighbours(family=socket.AF_INET, ifindex=index))):
        if entry.get("dst") == name and entry["state"] & _NUD_VALID and entry.get("lladdr"):
            return bytes.fromhex(entry.get("lladdr").replace(":", ""))
    return None


def _ask(question: Callable[[IPRoute], _T]) -> _T:
    def run() -> _T:
        with IPRoute() as netlink:
            return question(netlink)

    with ThreadPoolExecutor(1, "netlink") as pool:
        return pool.submit(run).result()


def _address(text: str | None) -> int | None:
    return None if text is None else int(ipaddress.IPv4Address(text))
