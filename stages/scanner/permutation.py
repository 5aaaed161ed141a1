"""The order of a scan: a keyed permutation of [0, n) with its inverse, any element in O(1).

A balanced Feistel network over a x 2^k, where 2^k is about the square root of n and a = ceil(n / 2^k). An index is
(L, R), L < a and R < 2^k. Each pair of rounds does

    L = L + f(R) mod a      the sum mod a by multiply-shift of a 32-bit f: no division
    R = R xor f'(L)

and there are six rounds (three pairs): with four, the output could be told from a random permutation by a chi-square
test over differences of neighbours; with six it could not. The FIRST round changes the high half by the low one,
since consecutive indexes differ only in the low half. a x 2^k exceeds n by less than 2^k; what falls there is walked
on through the network until it is below n (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains",
2002), which keeps it a bijection of [0, n).

f is 64-bit: two multiplications, 32 bits out. It is no cipher against an adversary who studies it, and need not be:
the order is no secret; what authenticates answers is SipHash (`validation.py`).

Here in plain integers and in numpy; the sending thread uses the same network as a numba kernel (`frames.py`), and a
test holds the three against each other.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from stages.scanner.space import U64Array

#: Half the index must fit 31 bits and the product f * a 64 bits.
MAX_SIZE: Final = 1 << 62

C1: Final = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd (Knuth, TAOCP 3, 6.4)
C2: Final = 0xD6E8FEB86659FD93  # an odd multiplier with good avalanche over 64 bits
_MASK64: Final = (1 << 64) - 1
_ROUNDS: Final = 6
_MIN_BITS: Final = 2  # each half has at least one bit


class Permutation:
    """Permutation of [0, n) under `seed` (0 <= seed < 2^128). Immutable.

    Position i of the scan probes target index `at(i)`; `inverse` is the way back.
    """

    __slots__ = ("keys", "low_bits", "modulus", "n", "seed")

    def __init__(self, n: int, seed: int) -> None:
        """Raises ValueError unless 1 <= n <= 2^62."""
        if not 1 <= n <= MAX_SIZE:
            raise ValueError(f"a permutation needs 1 to 2^62 elements, not {n}")
        self.n = n
        self.seed = seed
        bits = max((n - 1).bit_length(), _MIN_BITS)
        self.low_bits = bits // 2  #: k
        self.modulus = -(-n >> self.low_bits)  #: a = ceil(n / 2^k)
        raw = hashlib.shake_256(b"longline permutation" + seed.to_bytes(16, "big")).digest(8 * _ROUNDS)
        self.keys = tuple(int.from_bytes(raw[8 * i : 8 * i + 8], "big") for i in range(_ROUNDS))

    def one(self, position: int) -> int:
        """Target index of one position, in plain integers. Raises IndexError outside [0, n)."""
        if not 0 <= position < self.n:
            raise IndexError(position)
        value = self._forward(position)
        while value >= self.n:
            value = self._forward(value)
        return value

    def _forward(self, value: int) -> int:
        low_mask = (1 << self.low_bits) - 1
        high, low = value >> self.low_bits, value & low_mask
        for i in range(0, _ROUNDS, 2):
            high += (_mix(low, self.keys[i]) * self.modulus) >> 32
            high -= self.modulus if high >= self.modulus else 0
            low ^= _mix(high, self.keys[i + 1]) & low_mask
        return high << self.low_bits | low

    def at(self, positions: U64Array) -> U64Array:
        """Target indexes of positions (u64 array, each below n)."""
        return self._walk(np.array(positions, np.uint64, ndmin=1), self._forward_array)

    def inverse(self, indexes: U64Array) -> U64Array:
        """Positions of target indexes (u64 array, each below n): `inverse(at(p)) == p`."""
        return self._walk(np.array(indexes, np.uint64, ndmin=1), self._backward_array)

    def _walk(self, values: U64Array, step: object) -> U64Array:
        assert callable(step)
        size = np.uint64(self.n)
        out: U64Array = step(values)
        over = np.flatnonzero(out >= size)
        while over.size:
            out[over] = step(out[over])
            over = over[out[over] >= size]
        return out

    def _forward_array(self, values: U64Array) -> U64Array:
        k, a = np.uint64(self.low_bits), np.uint64(self.modulus)
        mask = np.uint64((1 << self.low_bits) - 1)
        high, low = values >> k, values & mask
        for i in range(0, _ROUNDS, 2):
            high = high + ((_mix_array(low, self.keys[i]) * a) >> np.uint64(32))
            high = np.where(high >= a, high - a, high)
            low = low ^ (_mix_array(high, self.keys[i + 1]) & mask)
        return (high << k) | low

    def _backward_array(self, values: U64Array) -> U64Array:
        k, a = np.uint64(self.low_bits), np.uint64(self.modulus)
        mask = np.uint64((1 << self.low_bits) - 1)
        high, low = values >> k, values & mask
        for i in range(_ROUNDS - 2, -1, -2):
            low = low ^ (_mix_array(high, self.keys[i + 1]) & mask)
            added = (_mix_array(low, self.keys[i]) * a) >> np.uint64(32)
            high = np.where(high >= added, high - added, high + a - added)
        return (high << k) | low


def _mix(value: int, key: int) -> int:
    z = ((value ^ key) * C1) & _MASK64
    z ^= z >> 32
    return ((z * C2) & _MASK64) >> 32


def _mix_array(values: U64Array, key: int) -> U64Array:
    z = (values ^ np.uint64(key)) * np.uint64(C1)
    z ^= z >> np.uint64(32)
    return (z * np.uint64(C2)) >> np.uint64(32)
