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


@kernel
def put(array: Any, row: Any, offset: Any, value: Any) -> Any:
    before = wide.load_bytes(array, row, offset)
    wide.store_bytes(array, row, offset, value)
    return before


@settings(deadline=None)
@given(WORDS, st.integers(0, 2), st.integers(0, 16), st.booleans())
def test_bytes_at_any_place_of_a_row(value: int, row: int, offset: int, strided: bool) -> None:
    whole = np.arange(3 * 5 * 8, dtype=np.uint8).reshape(3, 40)
    words = whole.view(np.uint64)[:, 1:4] if strided else whole.view(np.uint64)[:, :3].copy()
    view = words.view() if strided else words
    before = bytes(np.ascontiguousarray(words[row]).view(np.uint8))
    got = put(view, row, offset, np.uint64(value))
    assert int(got) == int.from_bytes(before[offset : offset + 8], "little")
    after = bytes(np.ascontiguousarray(words[row]).view(np.uint8))
    assert after == before[:offset] + value.to_bytes(8, "little") + before[offset + 8 :]
