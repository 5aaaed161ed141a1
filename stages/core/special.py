"""The special-purpose addresses of the IANA registries, and which of them a target lifts. Pure.

From the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190) and the multicast registries
(RFC 5771, RFC 4291 section 2.7). Blocked is what the column "Globally Reachable" does not call true: what says "N/A"
(6to4, Teredo, ORCHID: addresses that stand for others) is blocked as well. Registries nest, and the most specific
range rules: 192.0.0.9/32 is reachable inside 192.0.0.0/24, which is not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Final

from stages.core.netset import NetSet, Span, parse_entry
from stages.core.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Special:
    """One range of a registry."""

    network: str
    name: str
    rfc: str
    reachable: bool  #: the registry says "Globally Reachable: True"

    @property
    def span(self) -> Span:
        """The addresses."""
        entry = parse_entry(self.network)
        if isinstance(entry, str):
            raise ValueError(f"{self.network} is a name")
        return entry


REGISTRY: Final = (
    Special("0.0.0.0/8", "This network", "RFC 791", False),
    Special("0.0.0.0/32", "This host on this network", "RFC 1122", False),
    Special("10.0.0.0/8", "Private-Use", "RFC 1918", False),
    Special("100.64.0.0/10", "Shared Address Space", "RFC 6598", False),
    Special("127.0.0.0/8", "Loopback", "RFC 1122", False),
    Special("169.254.0.0/16", "Link Local", "RFC 3927", False),
    Special("172.16.0.0/12", "Private-Use", "RFC 1918", False),
    Special("192.0.0.0/24", "IETF Protocol Assignments", "RFC 6890", False),
    Special("192.0.0.0/29", "IPv4 Service Continuity Prefix", "RFC 7335", False),
    Special("192.0.0.8/32", "IPv4 dummy address", "RFC 7600", False),
    Special("192.0.0.9/32", "Port Control Protocol Anycast", "RFC 7723", True),
    Special("192.0.0.10/32", "Traversal Using Relays around NAT Anycast", "RFC 8155", True),
    Special("192.0.0.170/31", "NAT64/DNS64 Discovery", "RFC 8880", False),
    Special("192.0.2.0/24", "Documentation (TEST-NET-1)", "RFC 5737", False),
    Special("192.31.196.0/24", "AS112-v4", "RFC 7535", True),
    Special("192.52.193.0/24", "AMT", "RFC 7450", True),
    Special("192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", "RFC 7526", False),
    Special("192.88.99.2/32", "6a44-relay anycast address", "RFC 6751", False),
    Special("192.168.0.0/16", "Private-Use", "RFC 1918", False),
    Special("192.175.48.0/24", "Direct Delegation AS112 Service", "RFC 7534", True),
    Special("198.18.0.0/15", "Benchmarking", "RFC 2544", False),
    Special("198.51.100.0/24", "Documentation (TEST-NET-2)", "RFC 5737", False),
    Special("203.0.113.0/24", "Documentation (TEST-NET-3)", "RFC 5737", False),
    Special("224.0.0.0/4", "Multicast", "RFC 5771", False),
    Special("240.0.0.0/4", "Reserved", "RFC 1112", False),
    Special("255.255.255.255/32", "Limited Broadcast", "RFC 919", False),
    Special("::/128", "Unspecified Address", "RFC 4291", False),
    Special("::1/128", "Loopback Address", "RFC 4291", False),
    Special("::ffff:0:0/96", "IPv4-mapped Address", "RFC 4291", False),
    Special("64:ff9b::/96", "IPv4-IPv6 Translation", "RFC 6052", True),
    Special("64:ff9b:1::/48", "IPv4-IPv6 Translation", "RFC 8215", False),
    Special("100::/64", "Discard-Only Address Block", "RFC 6666", False),
    Special("100:0:0:1::/64", "Dummy IPv6 Prefix", "RFC 9780", False),
    Special("2001::/23", "IETF Protocol Assignments", "RFC 2928", False),
    Special("2001::/32", "TEREDO", "RFC 4380", False),
    Special("2001:1::1/128", "Port Control Protocol Anycast", "RFC 7723", True),
    Special("2001:1::2/128", "Traversal Using Relays around NAT Anycast", "RFC 8155", True),
    Special("2001:1::3/128", "DNS-SD Service Registration Protocol Anycast", "RFC 9665", True),
    Special("2001:2::/48", "Benchmarking", "RFC 5180", False),
    Special("2001:3::/32", "AMT", "RFC 7450", True),
    Special("2001:4:112::/48", "AS112-v6", "RFC 7535", True),
    Special("2001:10::/28", "Deprecated (previously ORCHID)", "RFC 4843", False),
    Special("2001:20::/28", "ORCHIDv2", "RFC 7343", True),
    Special("2001:30::/28", "Drone Remote ID Protocol Entity Tags", "RFC 9374", True),
    Special("2001:db8::/32", "Documentation", "RFC 3849", False),
    Special("2002::/16", "6to4", "RFC 3056", False),
    Special("2620:4f:8000::/48", "Direct Delegation AS112 Service", "RFC 7534", True),
    Special("3fff::/20", "Documentation", "RFC 9637", False),
    Special("5f00::/16", "Segment Routing (SRv6) SIDs", "RFC 9602", False),
    Special("fc00::/7", "Unique-Local", "RFC 4193", False),
    Special("fe80::/10", "Link-Local Unicast", "RFC 4291", False),
    Special("ff00::/8", "Multicast", "RFC 4291", False),
)


@cache
def _by_network() -> dict[str, Span]:
    return {special.network: special.span for special in REGISTRY}


@cache
def _widest_first() -> tuple[tuple[Special, Span], ...]:
    return tuple(sorted(((special, special.span) for special in REGISTRY), key=lambda pair: -pair[1].size))


def is_special(network: str) -> bool:
    """Whether `network` is written as a range of the registries is."""
    return network in _by_network()


def lifted_by(span: Span) -> str | None:
    """The network of the narrowest blocked range that holds all of `span`; None where there is none.

    A target that is written explicitly lifts it. `0.0.0.0/0` lies in no special range and lifts nothing.
    """
    for special, held in reversed(_widest_first()):
        if held.version == span.version and held.first <= span.first and span.last <= held.last:
            return None if special.reachable else special.network
    return None


def default_blocks(lifted: Collection[str] = ()) -> NetSet:
    """The addresses blocked by default, without the ranges `lifted` (networks as the registry writes them).

    A range nested in a lifted one stays blocked: lifting 240.0.0.0/4 does not lift the broadcast address.
    """
    blocked = {4: Ranges(), 6: Ranges()}
    for special, span in _widest_first():
        held = Ranges((span.first,), (span.last,))
        before = blocked[span.version]
        free = special.reachable or special.network in lifted
        blocked[span.version] = before.minus(held) if free else before.union(held)
    return NetSet(blocked[4], blocked[6])
