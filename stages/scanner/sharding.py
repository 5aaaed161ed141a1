"""Shards: shard K of N has the positions of the scan's order that are congruent to K modulo N. Pure.

Which targets these are depends on the seed and on nothing else: not on threads, rate, engine or host. The shards are
disjoint, together they are the whole scan, and their sizes differ by one at most. Outside of the order itself a shard
counts its positions from 0: its i-th position is position K + i * N of the scan.
"""

from __future__ import annotations

from typing import Final

#: More shards than addresses of IPv4 are of no use to anybody, and the position K + i * N stays within 64 bits.
MAX_SHARDS: Final = 1 << 32


def own_positions(total: int, shard: int, shards: int) -> int:
    """How many of the scan's positions [0, total) are those of `shard`."""
    return max(0, -(-(total - shard) // shards))


def shard_behind(offset: int, shard: int, shards: int) -> int:
    """Which shard of a part that begins at the scan's position `offset`, counted from 0, is `shard` of the whole."""
    return (shard - offset) % shards
