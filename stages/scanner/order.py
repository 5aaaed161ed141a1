"""Order and space as kernels: position -> target for the sender, target -> position for the receiver.

The same functions as `Permutation` and `Space`, in stages over a whole batch, so that LLVM vectorises each stage:
permute (branch-free; the few that fall outside are walked on afterwards), divide by the number of ports (by
multiplication), find the address range (a table of about 2^16 entries over the index space gives where to begin; then
a short walk).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.net.jit import kernel, piece
from stages.net.wide import multiply_high
from stages.scanner.permutation import C1, C2, Permutation
from stages.scanner.sharding import MAX_SHARDS
from stages.scanner.space import Space, U64Array

Word: TypeAlias = Any  # a u64 inside a kernel

#: About this many entries (as a power of two) in the table that shortens the search: 256 KiB, within a level-2 cache.
_TABLE_BITS: Final = 16

_PORTS: Final = 1 << 16

_M1, _M2 = np.uint64(C1), np.uint64(C2)
_ONE, _S32 = np.uint64(1), np.uint64(32)
#: "No such position".
NOWHERE = np.uint64((1 << 64) - 1)


class Order(NamedTuple):
    """A permutation and a space, as kernels take them."""

    n: Any  # u64, size of both
    k: Any  # u64, low bits
    modulus: Any  # u64
    mask: Any  # u64, 2^k - 1
    keys: Any  # six u64
    starts: U64Array  # first address of each range
    ends: U64Array  # last address of each range
    prefix: U64Array  # addresses before each range, one entry more than ranges
    table: npt.NDArray[np.int32]  # range of each 2^shift-th address index, rounded down
    shift: Any  # u64
    listed: npt.NDArray[np.uint32]  # an exact list, sorted; empty: the ranges count
    ports: U64Array
    port_index: npt.NDArray[np.int32]  # index of each of the 65,536 ports (of each part); -1: not in the space
    reciprocal: Any  # u64, floor(2^64 / ports), or 2^64 - 1 for one port
    shard: Any  # u64; the positions of this order are shard, shard + shards, shard + 2 * shards ... of the whole
    shards: Any  # u64


def build(permutation: Permutation, space: Space, shard: int = 0, shards: int = 1) -> Order:
    """The order of one shard of a scan. Raises ValueError if permutation and space differ in size or are empty, and
    for a shard that is none."""
    if permutation.n != space.size:
        raise ValueError(f"a permutation of {permutation.n} elements for a space of {space.size}")
    if not 0 <= shard < shards <= MAX_SHARDS:
        raise ValueError(f"shard {shard} of {shards}")
    starts, ends, listed = space.starts, space.ends, np.empty(0, np.uint32)
    if space.listed:
        starts, ends, listed = starts[:0], ends[:0], starts
    shift = max(space.addresses.bit_length() - _TABLE_BITS, 0)
    corners = np.arange((space.addresses >> shift) + 1, dtype=np.uint64) << np.uint64(shift)
    table = np.searchsorted(space.prefix, corners, side="right") - 1
    ports = len(space.ports)
    port_index = np.full((max(space.ports) // _PORTS + 1) * _PORTS, -1, np.int32)
    port_index[np.array(space.ports, np.intp)] = np.arange(ports)
    return Order(
        n=np.uint64(permutation.n),
        k=np.uint64(permutation.low_bits),
        modulus=np.uint64(permutation.modulus),
        mask=np.uint64((1 << permutation.low_bits) - 1),
        keys=tuple(np.uint64(key) for key in permutation.keys),
        starts=starts.astype(np.uint64),
        ends=ends.astype(np.uint64),
        prefix=space.prefix,
        table=table.clip(0, max(len(starts) - 1, 0)).astype(np.int32),
        shift=np.uint64(shift),
        listed=listed,
        ports=np.array(space.ports, np.uint64),
        port_index=port_index,
        reciprocal=np.uint64((1 << 64) // ports if ports > 1 else (1 << 64) - 1),
        shard=np.uint64(shard),
        shards=np.uint64(shards),
    )


@piece
def _mix(value: Word, key: Word) -> Word:
    z = (value ^ key) * _M1
    z ^= z >> _S32
    z *= _M2
    return z >> _S32


@piece
def _pair(high: Word, low: Word, key_a: Word, key_b: Word, modulus: Word, mask: Word) -> Word:
    high += (_mix(low, key_a) * modulus) >> _S32
    high = high - modulus if high >= modulus else high
    low ^= _mix(high, key_b) & mask
    return high, low


@piece
def _unpair(high: Word, low: Word, key_a: Word, key_b: Word, modulus: Word, mask: Word) -> Word:
    low ^= _mix(high, key_b) & mask
    added = (_mix(low, key_a) * modulus) >> _S32
    high = high - added if high >= added else high + modulus - added
    return high, low


@piece
def _forward(value: Word, k: Word, modulus: Word, mask: Word, keys: Any) -> Word:
    high, low = value >> k, value & mask
    high, low = _pair(high, low, keys[0], keys[1], modulus, mask)
    high, low = _pair(high, low, keys[2], keys[3], modulus, mask)
    high, low = _pair(high, low, keys[4], keys[5], modulus, mask)
    return (high << k) | low


@piece
def _backward(value: Word, k: Word, modulus: Word, mask: Word, keys: Any) -> Word:
    high, low = value >> k, value & mask
    high, low = _unpair(high, low, keys[4], keys[5], modulus, mask)
    high, low = _unpair(high, low, keys[2], keys[3], modulus, mask)
    high, low = _unpair(high, low, keys[0], keys[1], modulus, mask)
    return (high << k) | low


@kernel
def targets(order: Any, first: Word, address: Any, port: Any) -> None:
    """Targets of the shard's positions first, first + 1, ...: fills the u64 arrays `address`, `port` (host order)."""
    n, k, modulus, mask, keys = order.n, order.k, order.modulus, order.mask, order.keys
    count = address.size
    step = order.shards
    begin = order.shard + first * step
    outside = np.uint64(0)
    for i in range(count):
        x = _forward(begin + np.uint64(i) * step, k, modulus, mask, keys)
        address[i] = x
        outside += np.uint64(x >= n)
    if outside:
        for i in range(count):
            x = address[i]
            while x >= n:
                x = _forward(x, k, modulus, mask, keys)
            address[i] = x
    ports = order.ports
    several, reciprocal = np.uint64(ports.size), order.reciprocal
    if several == _ONE:
        only = ports[0]
        for i in range(count):
            port[i] = only
    else:
        for i in range(count):
            x = address[i]
            quotient = multiply_high(x, reciprocal)  # the true quotient or one less, for x below 2^62
            rest = x - quotient * several
            one_more = np.uint64(rest >= several)
            address[i] = quotient + one_more
            port[i] = rest - one_more * several
        for i in range(count):
            port[i] = ports[np.int64(port[i])]
    listed = order.listed
    if listed.size:
        for i in range(count):
            address[i] = np.uint64(listed[np.int64(address[i])])
        return
    starts, prefix, table, shift = order.starts, order.prefix, order.table, order.shift
    for i in range(count):
        x = address[i]
        j = np.int64(table[np.int64(x >> shift)])
        while x >= prefix[j + 1]:
            j += 1
        address[i] = starts[j] + (x - prefix[j])


@piece
def index_of(order: Any, address: Word, port: Word) -> Word:
    """Index of a target in the space; NOWHERE if it is not in it."""
    which = order.port_index[np.int64(port)]
    if order.listed.size:
        low, high = 0, order.listed.size
        while low < high:  # the first that is not below the address
            middle = (low + high) >> 1
            if np.uint64(order.listed[middle]) < address:
                low = middle + 1
            else:
                high = middle
        if which < 0 or low == order.listed.size or np.uint64(order.listed[low]) != address:
            return NOWHERE
        return np.uint64(low) * np.uint64(order.ports.size) + np.uint64(which)
    low, high = 0, order.starts.size
    while low < high:  # the first range that starts behind the address
        middle = (low + high) >> 1
        if order.starts[middle] <= address:
            low = middle + 1
        else:
            high = middle
    if which < 0 or low == 0 or address > order.ends[low - 1]:
        return NOWHERE
    offset = order.prefix[low - 1] + (address - order.starts[low - 1])
    return offset * np.uint64(order.ports.size) + np.uint64(which)


@piece
def position_of(order: Any, index: Word) -> Word:
    """Position of a target index in the whole scan's order."""
    x = _backward(index, order.k, order.modulus, order.mask, order.keys)
    while x >= order.n:
        x = _backward(x, order.k, order.modulus, order.mask, order.keys)
    return x


@piece
def own_position(order: Any, position: Word) -> Word:
    """The shard's own number of a position of the whole scan; NOWHERE if another shard has it."""
    if order.shards == _ONE:
        return position
    if position % order.shards != order.shard:
        return NOWHERE
    return position // order.shards


@kernel
def positions(order: Any, address: Any, port: Any, out: Any) -> None:
    """The shard's positions of targets (u64 arrays); NOWHERE for what is not in the space or in another shard."""
    for i in range(out.size):
        index = index_of(order, address[i], port[i])
        out[i] = own_position(order, position_of(order, index)) if index != NOWHERE else NOWHERE
