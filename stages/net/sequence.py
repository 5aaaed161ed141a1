"""Sequence numbers (RFC 9293 3.4): 32 bits that wrap, compared by their difference. Pieces for kernels, and writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.net.jit import piece

_HALF = np.int64(1 << 31)
_MASK = np.int64(0xFFFFFFFF)


@piece
def gap(first: Any, second: Any) -> Any:
    """How far `first` is ahead of `second`: an i64 between -2^31 and 2^31 - 1."""
    return ((np.int64(first) - np.int64(second) + _HALF) & _MASK) - _HALF


@piece
def plus(number: Any, count: Any) -> Any:
    """The number `count` further."""
    return (np.int64(number) + np.int64(count)) & _MASK


@piece
def put16(row: Any, at: Any, value: Any) -> None:
    """Big-endian into a u8 row."""
    row[at] = np.uint8((value >> 8) & 0xFF)
    row[at + 1] = np.uint8(value & 0xFF)


@piece
def put32(row: Any, at: Any, value: Any) -> None:
    row[at] = np.uint8((value >> 24) & 0xFF)
    row[at + 1] = np.uint8((value >> 16) & 0xFF)
    row[at + 2] = np.uint8((value >> 8) & 0xFF)
    row[at + 3] = np.uint8(value & 0xFF)
