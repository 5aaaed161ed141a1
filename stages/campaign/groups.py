"""Services as scans: (address, port) pairs as few products of addresses and ports. Pure.

A scan probes each of its ports at each of its addresses, and a refresh is to probe single services. Addresses with the
same ports go together; where that makes too many scans, the smallest are joined, and a few ports more are probed at
their addresses. That is a probe more, and no harm to the truth: what answers there is a service as well.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: Scans of one refresh, at most: each costs a cooldown.
MOST: Final = 16


@dataclass(frozen=True, slots=True)
class Group:
    """Every port at every address."""

    ports: tuple[int, ...]  #: sorted
    addresses: tuple[str, ...]  #: sorted as text

    @property
    def size(self) -> int:
        return len(self.ports) * len(self.addresses)


def groups(pairs: Iterable[tuple[str, int]], most: int = MOST) -> list[Group]:
    """The same for the same pairs, in whatever order they come."""
    ports_of: dict[str, set[int]] = defaultdict(set)
    for ip, port in pairs:
        ports_of[ip].add(port)
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for ip, ports in ports_of.items():
        alike[tuple(sorted(ports))].append(ip)
    heap = [(len(found), ports, sorted(found)) for ports, found in alike.items()]
    heapq.heapify(heap)
    while len(heap) > most:
        _, one, these = heapq.heappop(heap)
        _, other, those = heapq.heappop(heap)
        found = sorted((*these, *those))
        heapq.heappush(heap, (len(found), tuple(sorted({*one, *other})), found))
    return [Group(ports, tuple(found)) for _, ports, found in sorted(heap, key=lambda each: (each[1], each[2]))]
