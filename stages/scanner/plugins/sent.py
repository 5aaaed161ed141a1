"""Which targets stand at positions of a scan: for plugins that ask what was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from stages.scanner.permutation import Permutation
from stages.scanner.prepare import Prepared

Found: TypeAlias = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]


def finder(prepared: Prepared) -> Callable[[int, int], Found]:
    """A function from positions [first, last) to addresses (u32, host order) and ports (u16). IPv6 targets, which come
    behind all others, are left out. In numpy: a scan by `connect` has no compiler."""
    found = next((part for part in prepared.slices if part.version == 4), None)
    if found is None:
        return lambda first, last: (np.empty(0, np.uint32), np.empty(0, np.uint16))
    space = prepared.targets.space(prepared.ports)
    permutation = Permutation(space.size, prepared.spec.seed)

    def find(first: int, last: int) -> Found:
        own = np.arange(first, min(last, found.offset + found.last), dtype=np.uint64) - np.uint64(found.offset)
        address, port = space.at(permutation.at(own * np.uint64(found.shards) + np.uint64(found.shard)))
        return address.astype(np.uint32), port.astype(np.uint16)

    return find
