"""The Internet checksum (RFC 1071): over bytes, and its pieces for kernels.

The sum of 16-bit words is commutative and its carries may be folded in at any time. So a sender sums the constant part
of a header once and adds only what changes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from stages.net.jit import piece

Word: TypeAlias = Any  # a u64 inside a kernel

_LOW16 = np.uint64(0xFFFF)
_S8, _S16 = np.uint64(8), np.uint64(16)
_ZERO, _ONE = np.uint64(0), np.uint64(1)


def word_sum(data: bytes) -> int:
    """Sum of the big-endian 16-bit words of `data` (padded with a zero byte if odd), carries not folded."""
    if len(data) % 2:
        data += b"\0"
    return int(np.frombuffer(data, ">u2").sum(dtype=np.uint64))


def checksum(data: bytes) -> int:
    """The Internet checksum of `data`, as it stands in a header whose checksum field is zero in `data`."""
    total = word_sum(data)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pseudo_sum(source: int, target: int, protocol: int, length: int) -> int:
    """Sum of the pseudo-header's words (RFC 9293 3.1): addresses u32, `length` of the segment in bytes."""
    return (source >> 16) + (source & 0xFFFF) + (target >> 16) + (target & 0xFFFF) + protocol + length


@piece
def finish(total: Word) -> Word:
    """Fold the carries of a sum below 2^32 and complement it."""
    total = (total & _LOW16) + (total >> _S16)
    total = (total & _LOW16) + (total >> _S16)
    return total ^ _LOW16


@piece
def sum_bytes(data: Any, start: Any, end: Any) -> Word:
    """Sum of the 16-bit words of data[start:end], a u8 array: at most 64 KiB, so that it stays below 2^32."""
    total = _ZERO
    first, last = np.uint64(start), np.uint64(end)  # unsigned: no index counts from the end, so the loop is vectorised
    for k in range((last - first) >> _ONE):
        at = first + (np.uint64(k) << _ONE)
        total += (np.uint64(data[at]) << _S8) | np.uint64(data[at + _ONE])
    if (last - first) & _ONE:
        total += np.uint64(data[last - _ONE]) << _S8
    return total
