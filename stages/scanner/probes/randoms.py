"""Random and time fields of a payload template as kernel pieces: the same bytes as `stages.proto.template` renders.

Eight characters are drawn at once: the bytes of a word in two halves of four 16-bit lanes each, where multiplication
and shift do not run into the neighbour.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from stages.net.jit import piece
from stages.proto.template import GOLDEN, MIX_A, MIX_B

Word: TypeAlias = Any  # a u64 inside a kernel

# What a part of a compiled template is.
LITERAL, BYTES, DIGITS, LETTERS, ALPHANUM, SADDR, SADDR_N, DADDR, DADDR_N = range(9)
SPORT, SPORT_N, DPORT, DPORT_N, SECONDS, MICROSECONDS, NTP = range(9, 16)
KINDS = {
    "RAND_BYTE": BYTES, "RAND_DIGIT": DIGITS, "RAND_ALPHA": LETTERS, "RAND_ALPHANUM": ALPHANUM,
    "SADDR": SADDR, "SADDR_N": SADDR_N, "DADDR": DADDR, "DADDR_N": DADDR_N,
    "SPORT": SPORT, "SPORT_N": SPORT_N, "DPORT": DPORT, "DPORT_N": DPORT_N,
    "UNIXTIME_SEC": SECONDS, "UNIXTIME_USEC": MICROSECONDS, "NTP_TIMESTAMP": NTP,
}  # fmt: skip

_GOLDEN, _A, _B = np.uint64(GOLDEN), np.uint64(MIX_A), np.uint64(MIX_B)
_S8, _S27, _S30, _S31 = (np.uint64(n) for n in (8, 27, 30, 31))
_S7, _ONE = np.uint64(7), np.uint64(1)
_LANES = np.uint64(0x00FF00FF00FF00FF)
_EACH = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_TEN, _LETTERS, _ALPHANUM = np.uint64(10), np.uint64(52), np.uint64(62)
_ZEROS = np.uint64(0x3030303030303030)  # "00000000"
_AS = np.uint64(0x4141414141414141)  # "AAAAAAAA"
# Added to a byte below 128, the top bit says whether it is at least 26, at least 52.
_FROM_26 = np.uint64((128 - 26) * 0x0101010101010101)
_FROM_52 = np.uint64((128 - 52) * 0x0101010101010101)
_TO_LOWER = np.uint64(6)  # between "Z" and "a"
_TO_DIGITS = np.uint64(75)  # back from behind "z" to "0"


@piece
def random_word(seed: Word, number: Word) -> Word:
    """Word `number` (u64) of the stream."""
    z = seed + (number + _ONE) * _GOLDEN
    z = (z ^ (z >> _S30)) * _A
    z = (z ^ (z >> _S27)) * _B
    return z ^ (z >> _S31)


@piece
def _scaled(word: Word, size: Word) -> Word:
    """Each byte b becomes b * size // 256."""
    low = ((word & _LANES) * size >> _S8) & _LANES
    high = ((word >> _S8) & _LANES) * size & ~_LANES
    return low | high


@piece
def characters(word: Word, kind: Any) -> Word:
    """Eight characters of a random field of `kind` from a word of the stream, the first in the lowest byte."""
    if kind == BYTES:
        return word
    if kind == DIGITS:
        return _scaled(word, _TEN) | _ZEROS
    drawn = _scaled(word, _LETTERS if kind == LETTERS else _ALPHANUM)
    lower = ((drawn + _FROM_26) & _HIGH) >> _S7
    digits = ((drawn + _FROM_52) & _HIGH) >> _S7
    return drawn + _AS + lower * _TO_LOWER - digits * _TO_DIGITS
