"""SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of short messages, safe against forgery.

Two forms: `siphash24` over bytes, in plain integers, and `hash_words` for kernels, over a message of at most 15 bytes
given as two words. The words are those of the paper: the first eight bytes as a little-endian integer, and the rest of
the message with its length in the top byte.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from stages.net.jit import piece

#: A u64 inside a kernel, where numba and not Python types it.
Word: TypeAlias = Any

KEY_BYTES: Final = 16

_I0: Final = 0x736F6D6570736575  # "somepseudorandomlygeneratedbytes", the paper's initial state
_I1: Final = 0x646F72616E646F6D
_I2: Final = 0x6C7967656E657261
_I3: Final = 0x7465646279746573
_MASK: Final = (1 << 64) - 1

_W0, _W1, _W2, _W3 = np.uint64(_I0), np.uint64(_I1), np.uint64(_I2), np.uint64(_I3)
_FF = np.uint64(0xFF)
_S13, _S16, _S17, _S21, _S32 = (np.uint64(n) for n in (13, 16, 17, 21, 32))
_S64 = np.uint64(64)


def key_words(key: bytes) -> tuple[int, int]:
    """The 16-byte key as its two words. Raises ValueError for another length."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a SipHash key has {KEY_BYTES} bytes, not {len(key)}")
    return int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")


def siphash24(key: bytes, data: bytes) -> int:
    """SipHash-2-4 of `data` under the 16-byte `key`, as an unsigned 64-bit integer."""
    k0, k1 = key_words(key)
    state = (k0 ^ _I0, k1 ^ _I1, k0 ^ _I2, k1 ^ _I3)
    whole = len(data) - len(data) % 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _sipround(*_sipround(v0, v1, v2, v3 ^ word))
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = state
    v2 ^= 0xFF
    for _ in range(4):
        v0, v1, v2, v3 = _sipround(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _sipround(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = ((v1 << 13 | v1 >> 51) & _MASK) ^ v0
    v0 = (v0 << 32 | v0 >> 32) & _MASK
    v2 = (v2 + v3) & _MASK
    v3 = ((v3 << 16 | v3 >> 48) & _MASK) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = ((v3 << 21 | v3 >> 43) & _MASK) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = ((v1 << 17 | v1 >> 47) & _MASK) ^ v2
    v2 = (v2 << 32 | v2 >> 32) & _MASK
    return v0, v1, v2, v3


@piece
def _rotate(x: Word, n: Word) -> Word:
    return (x << n) | (x >> (_S64 - n))


@piece
def _round(v0: Word, v1: Word, v2: Word, v3: Word) -> Word:
    v0 += v1
    v1 = _rotate(v1, _S13) ^ v0
    v0 = _rotate(v0, _S32)
    v2 += v3
    v3 = _rotate(v3, _S16) ^ v2
    v0 += v3
    v3 = _rotate(v3, _S21) ^ v0
    v2 += v1
    v1 = _rotate(v1, _S17) ^ v2
    v2 = _rotate(v2, _S32)
    return v0, v1, v2, v3


@piece
def hash_words(k0: Word, k1: Word, first: Word, last: Word) -> Word:
    """SipHash-2-4 of the 8 bytes `first` and the final word `last` (length << 56 | remaining bytes)."""
    v0, v1, v2, v3 = k0 ^ _W0, k1 ^ _W1, k0 ^ _W2, k1 ^ _W3
    v3 ^= first
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= first
    v3 ^= last
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= last
    v2 ^= _FF
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
