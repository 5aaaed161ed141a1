"""Where the responder's chance comes from: one hash, as a numba piece. Pure.

Everything that is drawn is `mix` of a number that says what it is drawn for, plus a multiple of GOLDEN.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net.jit import piece

#: The increment of splitmix64: 2^64 divided by the golden ratio.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
#: A share is drawn by the upper 32 bits, and so is a whole number of these.
ROLL: Final = 1 << 32

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = (np.uint64(n) for n in (27, 30, 31, 32))


@piece
def mix(z: Any) -> Any:
    """splitmix64's output function (Steele, Lea, Flood 2014)."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@piece
def below(h: Any, roll: Any) -> Any:
    """Whether a share falls: `roll` is the share times ROLL."""
    return (h >> _S32) < roll


@piece
def chosen(h: Any, ends: Any) -> Any:
    """Which interval of a roll: the first of `ends` (u64, ascending) that is above it, `ends.size` behind the last."""
    roll = h >> _S32
    at = 0
    while at < ends.size and roll >= ends[at]:
        at += 1
    return at
