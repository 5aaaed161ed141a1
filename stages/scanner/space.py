"""The target space: addresses x ports as one range of integers.

The addresses are sorted, disjoint, inclusive ranges. Their sizes are summed up once, so that the i-th address is a
binary search over the prefix sums and an address's index is a binary search over the range starts. A target's index
is `address_index * len(ports) + port_index`: neighbours in the index differ in the port, and the permutation spreads
them. All arithmetic is exact in 64 bits: 2^32 addresses x 2^16 ports are 2^48 targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.scanner.parts import MAX_PARTS, SHIFT

U64Array: TypeAlias = npt.NDArray[np.uint64]
U32Array: TypeAlias = npt.NDArray[np.uint32]

#: `index_of` says so where (address, port) is not in the space. No index reaches it: a space ends below 2^48.
NOT_A_TARGET: Final = (1 << 64) - 1

_ADDRESSES: Final = 1 << 32
_PORTS: Final = 1 << 16
#: Slots of a mixed scan (`stages.scanner.parts`): part and port.
SLOTS: Final = MAX_PARTS << SHIFT


class Space:
    """Addresses x ports. Immutable; build it with `Space.build`.

    size       number of targets
    addresses  number of addresses
    ports      the ports, in the order given, without repetition; of a mixed scan its slots (`stages.scanner.parts`)
    starts     u32, first address of each range; `prefix` u64, addresses before it: len(starts) + 1 entries
    listed     an exact list: each address is a range of its own, and there is no `prefix`, which would say nothing
    """

    __slots__ = ("_port_index", "_ports", "addresses", "ends", "listed", "ports", "prefix", "size", "starts")

    def __init__(self, starts: U32Array, ends: U32Array, ports: tuple[int, ...], *, listed: bool = False) -> None:
        self.starts = starts
        self.ends = ends
        self.ports = ports
        most = max(ports, default=0)
        self._ports: npt.NDArray[Any] = np.array(ports, np.uint16 if most < _PORTS else np.uint32)
        self._port_index = np.full((most // _PORTS + 1) * _PORTS, -1, np.int32)
        self._port_index[self._ports] = np.arange(len(ports), dtype=np.int32)
        self.listed = listed
        self.prefix: U64Array = np.zeros(1 if listed else len(starts) + 1, np.uint64)
        if not listed:
            np.cumsum(ends.astype(np.uint64) - starts.astype(np.uint64) + np.uint64(1), out=self.prefix[1:])
        self.addresses = len(starts) if listed else int(self.prefix[-1])
        self.size = self.addresses * len(ports)

    @classmethod
    def build(cls, ranges: Sequence[tuple[int, int]], ports: Sequence[int], *, most: int = _PORTS) -> Space:
        """From inclusive address ranges (sorted and disjoint) and ports (ICMP: `(0,)`; repetitions are dropped), all
        below `most`.

        Raises ValueError for a range that is inverted, out of 32 bits, or not behind the one before it, and for a
        port out of 0-65535.
        """
        before = -1
        for low, high in ranges:
            if not 0 <= low <= high < _ADDRESSES:
                raise ValueError(f"not an address range: {low}-{high}")
            if low <= before:
                raise ValueError(f"range {low}-{high} overlaps the one before it or is out of order")
            before = high
        starts = np.array([low for low, _ in ranges], np.uint32)
        ends = np.array([high for _, high in ranges], np.uint32)
        return cls(starts, ends, _each_once(ports, most))

    @classmethod
    def of_list(cls, addresses: U32Array, ports: Sequence[int], *, most: int = _PORTS) -> Space:
        """From addresses that are sorted, each once; the array is kept. Raises ValueError as `build` does."""
        if (addresses[1:] <= addresses[:-1]).any():
            raise ValueError("a list of addresses that is not sorted, or names one twice")
        return cls(addresses, addresses, _each_once(ports, most), listed=True)

    def of_ports(self, ports: Sequence[int]) -> Space:
        """The same addresses with other ports."""
        return Space(self.starts, self.ends, tuple(ports), listed=self.listed)

    def at(self, index: U64Array) -> tuple[U32Array, npt.NDArray[Any]]:
        """Addresses (u32) and ports (u16; slots: u32) of target indexes (u64, each below `size`)."""
        index = np.asarray(index, np.uint64)
        which, port = np.divmod(index, np.uint64(len(self.ports)))
        if self.listed:
            return self.starts[which.astype(np.intp)], self._ports[port.astype(np.intp)]
        row = np.searchsorted(self.prefix, which, side="right") - 1
        address = self.starts[row] + (which - self.prefix[row]).astype(np.uint32)
        return address, self._ports[port.astype(np.intp)]

    def index_of(self, addresses: npt.ArrayLike, ports: npt.ArrayLike) -> U64Array:
        """Indexes (u64) of targets; `NOT_A_TARGET` where (address, port) is outside."""
        address = np.atleast_1d(np.asarray(addresses)).astype(np.uint32)
        port = self._port_index[np.atleast_1d(np.asarray(ports)).astype(np.intp)]
        if not self.addresses:
            return np.full(np.broadcast(address, port).shape, NOT_A_TARGET, np.uint64)
        row = np.searchsorted(self.starts, address, side="right") - 1
        inside = (row >= 0) & (address <= self.ends[row]) & (port >= 0)
        offset = row.astype(np.uint64) if self.listed else (address - self.starts[row]) + self.prefix[row]
        index = offset * np.uint64(len(self.ports)) + port.astype(np.uint64)
        return np.where(inside, index, np.uint64(NOT_A_TARGET))


def _each_once(ports: Sequence[int], most: int) -> tuple[int, ...]:
    for port in ports:
        if not 0 <= port < most:
            raise ValueError(f"not a port: {port}")
    return tuple(dict.fromkeys(int(port) for port in ports))
