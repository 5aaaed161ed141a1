"""How a scan was set up, line by line, for who debugs one (`-v 4`). Pure.

ZMap says the same in its own words: the interface, the order and where it begins, how many addresses may be scanned,
from what is sent and how fast, that receiving has begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import numpy as np

from stages.scanner.explain import left_out
from stages.scanner.quantities import MIN_WIRE, WIRE_OVERHEAD

if TYPE_CHECKING:
    from stages.net.path import Path
    from stages.scanner.permutation import Permutation
    from stages.scanner.space import Space
    from stages.scanner.spec import ScanSpec


def of_lists(spec: ScanSpec) -> str:
    """What the blocklist, the allowlist and the reserved ranges have left."""
    return f"lists: {spec.addresses:,} addresses allowed to be scanned, left out: {left_out(spec) or 'none'}"


def of_order(permutation: Permutation, space: Space, first: int, shard: int, shards: int) -> str:
    """`first`: the position that sending begins at, of the shard's."""
    where = min(first * shards + shard, permutation.n - 1)
    address, _ = space.at(permutation.at(np.array([where], np.uint64)))
    return (
        f"order: {permutation.n:,} positions, modulus {permutation.modulus}, shard {shard} of {shards} begins with "
        f"{IPv4Address(int(address[0]))}"
    )


def of_way(way: Path, *, given: bool) -> str:
    """`given`: the interface was asked for."""
    how = "" if given else "no interface provided, will use "
    out = "no Ethernet headers" if not way.ethernet else f"frames from {_mac(way.source_mac)}"
    if way.ethernet:
        out += f" to {_mac(way.target_mac)}" if way.target_mac else " to the targets themselves"
    if way.gateway is not None:
        out += f" (gateway {IPv4Address(way.gateway)})"
    return f"interface: {how}{way.interface}, MTU {way.mtu}, {out}"


def of_sending(sources: Sequence[int], ports: tuple[int, int], rate: float, frame_bytes: float, batch: int) -> str:
    """`frame_bytes`: on average, without FCS; `rate`: packets a second, 0: unlimited."""
    count = ports[1] - ports[0] + 1
    bits = rate * max(frame_bytes + WIRE_OVERHEAD, MIN_WIRE) * 8
    pace = f"rate set to {rate:,.10g} pkt/s, {bits:,.0f} bits/s on the wire" if rate else "no limit to the rate"
    return (
        f"send: will send from {_count(len(sources), 'address', 'addresses')} on "
        f"{_count(count, 'source port', 'source ports')}, {pace}, {batch} targets a batch"
    )


def of_receiving(threads: int, kernel_filter: int) -> str:
    """`kernel_filter`: instructions of it."""
    return f"recv: {_count(threads, 'thread', 'threads')} started, kernel filter of {kernel_filter} instructions"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _mac(address: bytes) -> str:
    return address.hex(":")
