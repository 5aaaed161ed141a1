"""Which targets stand at positions of a scan: for plugins that ask what was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from stages.scanner.order import build, targets
from stages.scanner.permutation import Permutation
from stages.scanner.prepare import Prepared

Found: TypeAlias = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]


def finder(prepared: Prepared) -> Callable[[int, int], Found]:
    """A function from positions [first, last) to addresses (u32, host order) and ports (u16). IPv6 targets, which come
    behind all others, are left out."""
    found = next((part for part in prepared.slices if part.version == 4), None)
    order = None
    if found is not None:
        space = prepared.targets.space(prepared.ports)
        order = build(Permutation(space.size, prepared.spec.seed), space, found.shard, found.shards)

    def find(first: int, last: int) -> Found:
        count = 0 if order is None or found is None else max(min(last, found.offset + found.last) - first, 0)
        address, port = np.empty(count, np.uint64), np.empty(count, np.uint64)
        if count and found is not None:
            targets(order, np.uint64(first - found.offset), address, port)
        return address.astype(np.uint32), port.astype(np.uint16)

    return find
