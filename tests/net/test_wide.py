from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.net import wide
from stages.net.jit import kernel

WORDS = st.integers(0, (1 << 64) - 1)


@kernel
def both(a: Any, b: Any) -> Any:
    return wide.multiply_high(a, b), wide.swap_bytes(a)


@settings(deadline=None)  # the first call compiles
@given(WORDS, WORDS)
def test_against_integers(a: int, b: int) -> None:
    high, swapped = both(np.uint64(a), np.uint64(b))
    assert int(high) == a * b >> 64
    assert int(swapped) == int.from_bytes(a.to_bytes(8, "big"), "little")
