"""The way out for a scan's packets: interface, source address, and who takes the frames.

A scan has one way: one interface, and one gateway for the targets that are not on the link. Those on the link itself
(`Path.near`) have a MAC each, found by `stages.net.neighbours`.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field
from typing import Final

from stages.net import headers
from stages.net import link as links
from stages.net import route as routes
from stages.net.spans import Spans

#: So many targets, spread over the scan, are asked for their route.
_SAMPLES: Final = 16


class OnLink(OSError):
    """More targets are on the link than can be asked for their MACs."""


class OwnAddress(OSError):
    """The targets are addresses of this host: frames on a wire do not get there."""


class NotOurs(OSError):
    """A source address is not an address of this host: answers would go elsewhere."""


class TooLong(OSError):
    """A packet is longer than the interface carries."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where frames go out, and what they carry. Without Ethernet headers the MACs are zeros."""

    interface: str
    source: int  #: u32
    source_mac: bytes
    target_mac: bytes | None  #: the gateway's; None: there is none, all targets are on the link
    gateway: int | None
    mtu: int
    ethernet: bool = True  #: packets stand behind an Ethernet header
    vlan: int | None = None  #: their 802.1Q tag
    near: Spans = field(default_factory=lambda: Spans.of(()))  #: targets on the link; their MACs are not known yet


def find(
    targets: Spans,
    *,
    interface: str | None = None,
    source: int | None = None,
    source_mac: bytes | None = None,
    gateway_mac: bytes | None = None,
    vlan: int | None = None,
    macs: bool = True,
) -> Path:
    """The path to targets, at least one. What is given is not looked up.
    `macs` False: the kernel will find them.

    Raises InterfaceError, NoRoute, OwnAddress, NoNeighbour, NoRawAccess, ConfinedError, OSError.
    """
    if interface is not None:
        links.check_usable(links.interface(interface))
    named = interface  # asked for a way through an interface the kernel says "on the link" where it has no route
    way = _way(targets, named, needed=interface is None or gateway_mac is None)
    if way is not None:
        interface = way.interface
    assert interface is not None
    link = links.interface(interface)
    links.check_usable(link)
    if link.loopback:
        raise OwnAddress(errno.EADDRNOTAVAIL, f"{_text(int(targets.firsts[0]))} is reached through loopback")
    if source is None:
        source = link.address if way is None or way.source is None else way.source
    if source is None:
        raise links.InterfaceError(errno.EADDRNOTAVAIL, f"interface {interface} has no IPv4 address")
    gateway = None if way is None else way.gateway
    if not (link.ethernet and macs):
        none = headers.NO_MAC
        return Path(interface, source, none, none, gateway, link.mtu, link.ethernet, vlan)
    own = link.mac if source_mac is None else source_mac
    if gateway_mac is None and not link.arp:
        gateway_mac = link.mac  # nobody looks at it: dummy, or a tunnel with Ethernet headers and no neighbours
    near = Spans.of(())
    if gateway_mac is None:
        connected = routes.connected(interface)
        near, far = targets.overlap(connected), targets.less(connected)
        if far and gateway is None:
            behind = _way(far, named, needed=not near)
            gateway = None if behind is None else behind.gateway
            if behind is not None and gateway is None:  # no route of the main table says so, another rule does
                near = targets
        if gateway is not None and far:
            known = None if vlan is not None else routes.neighbours(interface).get(gateway)
            gateway_mac = known or links.resolve(link, source, gateway, vlan=vlan)
    return Path(interface, source, own, gateway_mac, gateway, link.mtu, True, vlan, near)


def _way(targets: Spans, interface: str | None, *, needed: bool) -> routes.Route | None:
    """The route of a sample of the targets: one through a gateway if there is one. Raises NoRoute if one is `needed`,
    OwnAddress."""
    step = max(len(targets) // _SAMPLES, 1)
    samples: list[int] = targets.firsts[::step][:_SAMPLES].tolist()
    found: list[routes.Route] = []
    missing: routes.NoRoute | None = None
    for target in [*samples, int(targets.lasts[-1])]:
        try:
            found.append(routes.route(target, interface))
        except routes.NoRoute as error:
            missing = error
    if not found:
        if needed and missing is not None:
            raise missing
        return None
    away = [way for way in found if not way.local]
    if not away:
        raise OwnAddress(errno.EADDRNOTAVAIL, f"{_text(samples[0])} is an address of this host itself")
    return next((way for way in away if way.gateway is not None), away[0])


def check_source(address: int) -> None:
    """Raise NotOurs unless `address` (u32) is one of this host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((_text(address), 0))
        except OSError as error:
            raise NotOurs(errno.EADDRNOTAVAIL, f"{_text(address)} is not an address of this host") from error


def _text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))
