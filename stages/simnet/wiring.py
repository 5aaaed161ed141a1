"""Links, addresses, routes and kernel settings of the two namespaces. The only user of pyroute2 in this room.

    near   near0 198.18.0.1/30, default route to 198.18.0.2
    far    far0 198.18.0.2/30, default route to 198.18.0.1, and AnyIP: `local PREFIX dev lo` for each prefix

Prefixes of the responder are behind a router of their own, 198.18.0.6: a permanent neighbour with the responder's MAC.

The link addresses are from 198.18.0.0/15, which RFC 2544 sets aside for measurements of devices. Both namespaces carry
the link that `net.confine` looks for. The marker is made before anything else, in the namespace itself, and has no
other end that could come to stand elsewhere.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from stages.net.confine import MARKER
from stages.simnet.namespaces import NamespaceError

NEAR_LINK: Final = "near0"
FAR_LINK: Final = "far0"
NEAR_ADDRESS: Final = "198.18.0.1"
FAR_ADDRESS: Final = "198.18.0.2"
NEAR_MAC: Final = "02:6c:6c:00:00:01"
FAR_MAC: Final = "02:6c:6c:00:00:02"
RESPONDER_ADDRESS: Final = "198.18.0.6"
RESPONDER_MAC: Final = "02:6c:6c:00:00:03"  # of no link: the far kernel leaves such packets alone
NEAR_ADDRESS_6: Final = "2001:2::1"
FAR_ADDRESS_6: Final = "2001:2::2"
_PREFIX: Final = 30
_PREFIX_6: Final = 64

#: The kinds of link that can be a marker, best first: alone, down and silent. Small kernels have no dummy.
_MARKER_KINDS: Final = ("dummy", "bridge")

#: rtnetlink(7): the table of local routes, and the scope of this host.
_LOCAL_TABLE: Final = 255
_HOST_SCOPE: Final = 254

#: linux/neighbour.h and linux/rtnetlink.h: an entry that nobody asks about, a gateway outside of the link's prefix.
_PERMANENT: Final = 0x80
_ONLINK: Final = 4

_SETTINGS: Final = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/icmp_ratemask": "0",  # every rejection is answered: the truth knows no lost one
    "ipv4/ip_local_port_range": "1024 65535",
    "ipv4/tcp_max_syn_backlog": "65535",
    # A server in TIME-WAIT answers a probe from the port of an earlier one with an ACK (RFC 9293 section 3.10.7.4): no
    # SYN-ACK, and the truth says that the port is open. Nothing is delayed here, so nobody has to wait.
    "ipv4/tcp_max_tw_buckets": "0",
    "core/somaxconn": "65535",
}

#: A container may have namespaces and yet no say over their settings: /proc/sys is read-only there.
_FORBIDDEN: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class WiringError(OSError):
    """The kernel refuses a link, an address, a route or a setting."""


def near(far_process: int, *, ipv6: bool, responder: Sequence[str] = ()) -> None:
    """Wire this namespace, with the other end of the link in that of `far_process`. `responder`: its prefixes."""
    _settings(ipv6=ipv6)
    try:
        with IPRoute() as route:
            _mark(route)
            _up(route, "lo")
            peer = {"ifname": FAR_LINK, "address": FAR_MAC, "net_ns_pid": far_process}
            route.link("add", ifname=NEAR_LINK, kind="veth", address=NEAR_MAC, peer=peer)
            link = _address(route, NEAR_LINK, NEAR_ADDRESS, NEAR_ADDRESS_6 if ipv6 else None)
            route.route("add", dst="0.0.0.0/0", gateway=FAR_ADDRESS, oif=link)
            if ipv6:
                route.route("add", family=10, dst="::/0", gateway=FAR_ADDRESS_6, oif=link)
            if responder:
                route.neigh("add", dst=RESPONDER_ADDRESS, lladdr=RESPONDER_MAC, ifindex=link, state=_PERMANENT)
            for prefix in responder:
                route.route("add", dst=prefix, gateway=RESPONDER_ADDRESS, oif=link, flags=_ONLINK)
    except NetlinkError as error:
        raise WiringError(error.code, f"near namespace: {error}") from None


def mark() -> None:
    """Mark this namespace as simnet's and bring its loopback up."""
    try:
        with IPRoute() as route:
            _mark(route)
            _up(route, "lo")
    except NetlinkError as error:
        raise WiringError(error.code, f"far namespace: {error}") from None


def far(local: Sequence[str]) -> None:
    """Wire this namespace once its end of the link has come, and take every address of `local` for our own."""
    ipv6 = any(ip_network(prefix).version == 6 for prefix in local)
    _settings(ipv6=ipv6)
    try:
        with IPRoute() as route:
            link = _address(route, FAR_LINK, FAR_ADDRESS, FAR_ADDRESS_6 if ipv6 else None)
            route.route("add", dst="0.0.0.0/0", gateway=NEAR_ADDRESS, oif=link)
            loopback = _index(route, "lo")
            for prefix in local:
                family = 10 if ip_network(prefix).version == 6 else 2
                how: dict[str, Any] = {"type": "local", "table": _LOCAL_TABLE, "scope": _HOST_SCOPE}
                route.route("add", family=family, dst=prefix, oif=loopback, **how)
    except NetlinkError as error:
        raise WiringError(error.code, f"far namespace: {error}") from None


def _mark(route: Any) -> None:
    for kind in _MARKER_KINDS:
        try:
            route.link("add", ifname=MARKER, kind=kind)
        except NetlinkError as error:
            if kind == _MARKER_KINDS[-1]:
                raise WiringError(error.code, f"no kind of link for the marker: {error}") from None
        else:
            return


def _index(route: Any, name: str) -> int:
    return int(route.link_lookup(ifname=name)[0])


def _up(route: Any, name: str) -> int:
    index = _index(route, name)
    route.link("set", index=index, state="up")
    return index


def _address(route: Any, name: str, address: str, address_6: str | None) -> int:
    index = _index(route, name)
    route.addr("add", index=index, address=address, prefixlen=_PREFIX)
    if address_6 is not None:
        nodad = 0x02  # IFA_F_NODAD: usable at once
        route.addr("add", index=index, family=10, address=address_6, prefixlen=_PREFIX_6, flags=nodad)
    route.link("set", index=index, state="up")
    return index


def _settings(*, ipv6: bool) -> None:
    """Kernel settings of this network namespace (/proc/sys/net is the reader's own).

    Raises NamespaceError where the machine's owner does not allow it, WiringError where the kernel does not.
    """
    settings = dict(_SETTINGS)
    if not ipv6:
        settings["ipv6/conf/default/disable_ipv6"] = "1"  # for the links to come; ::1 stays
    for name, value in settings.items():
        file = Path("/proc/sys/net") / name
        try:
            if file.exists():
                file.write_text(value)
        except OSError as error:
            kind = NamespaceError if error.errno in _FORBIDDEN else WiringError
            raise kind(error.errno, f"{file} cannot be set to {value}: {error.strerror}") from None
