"""The way out for a scan's frames: interface, source address, and the two MACs of every frame.

A scan has one way: that of its targets which lie behind a gateway. Targets on the link itself would each need a MAC of
their own; only a single one is supported here, and `OnLink` says so otherwise.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from stages.net import headers
from stages.net import link as links
from stages.net import route as routes


class OnLink(OSError):
    """The targets are on the link: there is no gateway that takes the frames for all of them."""


class OwnAddress(OSError):
    """The targets are addresses of this host: frames on a wire do not get there."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where frames go out, and what they carry. Without Ethernet headers the MACs are zeros."""

    interface: str
    source: int  #: u32
    source_mac: bytes
    target_mac: bytes  #: the gateway's, or the only target's
    gateway: int | None
    mtu: int
    ethernet: bool = True  #: packets stand behind an Ethernet header


def find(
    targets: Sequence[int],
    *,
    interface: str | None = None,
    source: int | None = None,
    source_mac: bytes | None = None,
    gateway_mac: bytes | None = None,
) -> Path:
    """The path to `targets` (u32; a sample of the scan, at least one). What is given is not looked up.

    Raises InterfaceError, NoRoute, OnLink, OwnAddress, NoNeighbour, NoRawAccess, ConfinedError, OSError.
    """
    if interface is not None:
        links.check_usable(links.interface(interface))
    found: list[routes.Route] = []
    missing: routes.NoRoute | None = None
    for target in targets:
        try:
            found.append(routes.route(target, interface))
        except routes.NoRoute as error:
            missing = error
    if not found and (interface is None or gateway_mac is None) and missing is not None:
        raise missing
    away = [way for way in found if not way.local]
    if found and not away:
        raise OwnAddress(errno.EADDRNOTAVAIL, f"{_text(targets[0])} is an address of this host itself")
    way = next((way for way in away if way.gateway is not None), away[0] if away else None)
    if way is not None:
        interface = way.interface
    assert interface is not None
    link = links.interface(interface)
    links.check_usable(link)
    if link.loopback:
        raise OwnAddress(errno.EADDRNOTAVAIL, f"{_text(targets[0])} is reached through loopback")
    if source is None:
        source = link.address if way is None or way.source is None else way.source
    if source is None:
        raise links.InterfaceError(errno.EADDRNOTAVAIL, f"interface {interface} has no IPv4 address")
    gateway = None if way is None else way.gateway
    if not link.ethernet:
        return Path(interface, source, headers.NO_MAC, headers.NO_MAC, gateway, link.mtu, ethernet=False)
    if gateway_mac is None:
        gateway_mac = _next_hop(link, source, gateway, targets)
    return Path(interface, source, link.mac if source_mac is None else source_mac, gateway_mac, gateway, link.mtu)


def _next_hop(link: links.Interface, source: int, gateway: int | None, targets: Sequence[int]) -> bytes:
    if not link.arp:
        return link.mac  # nobody looks at it: dummy, or a tunnel with Ethernet headers and no neighbours
    hop = gateway
    if hop is None:
        if len(set(targets)) > 1:
            raise OnLink(
                errno.EHOSTUNREACH,
                f"the targets are on the link of {link.name} itself, without a gateway: use the connect engine,"
                " or name the MAC that takes their frames",
            )
        hop = targets[0]
    return routes.neighbour(link.name, hop) or links.resolve(link, source, hop)


def _text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))
