"""Numbers that wrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stages.net.jit import kernel
from stages.net.sequence import gap, plus, put16, put32


@kernel
def both(first: Any, second: Any) -> Any:
    return gap(first, second), plus(first, second)


@kernel
def put(row: Any, value: Any) -> None:
    put32(row, 0, value)
    put16(row, 4, value)


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [(5, 3, 2), (3, 5, -2), (0, (1 << 32) - 1, 1), ((1 << 32) - 1, 0, -1), (1 << 31, 0, -(1 << 31)), (7, 7, 0)],
)
def test_the_difference_is_the_shorter_way(first: int, second: int, difference: int) -> None:
    for make in (int, np.uint32):
        assert both(make(first), make(second))[0] == difference
    assert both(second, difference)[1] == first


def test_big_endian() -> None:
    row = np.zeros(6, np.uint8)
    put(row, 0x01FE80FF)
    assert row.tobytes().hex() == "01fe80ff80ff"
