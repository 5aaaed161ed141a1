from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from stages.net.spans import Spans

Ranges = list[tuple[int, int]]

#: The first addresses of all, and the last ones.
ENDS = st.integers(0, 60).map(lambda value: value if value < 40 else (1 << 32) - 61 + value)
RANGES = st.lists(ENDS, max_size=12, unique=True).map(
    lambda ends: [(a, b) for a, b in zip(sorted(ends)[::2], sorted(ends)[1::2], strict=False) if b - a < 100]
)


def members(ranges: Ranges) -> list[int]:
    return [value for first, last in ranges for value in range(first, last + 1)]


@given(RANGES, RANGES)
@example([(0, 9), (20, 29)], [(0, 4), (5, 6), (28, 40)])  # others that touch
@example([((1 << 32) - 9, (1 << 32) - 1)], [((1 << 32) - 3, (1 << 32) - 1)])
def test_ranges_in_both_and_in_one(some: Ranges, others: Ranges) -> None:
    spans = Spans.of(some)
    both, one = spans.overlap(others), spans.less(others)
    assert members(list(both)) == sorted(set(members(some)) & set(members(others)))
    assert members(list(one)) == sorted(set(members(some)) - set(members(others)))
    for part in (spans, both, one):
        assert part.addresses == len(members(list(part)))
        assert len(part) == len(list(part))
        assert (part.firsts.dtype, part.lasts.dtype) == (np.uint32, np.uint32)


def test_a_list_of_ten_million_addresses_makes_no_objects_of_them() -> None:
    """What it takes are the arrays of the result; as Python pairs it would be twenty times that."""
    listed = np.arange(1 << 20, 11 << 20, dtype=np.uint32)
    spans = Spans(listed, listed)
    tracemalloc.start()
    try:
        near = spans.overlap([(1 << 20, (1 << 20) + 4)])
        far = spans.less([(1 << 20, (1 << 20) + 4)])
        assert (len(near), len(far), spans.addresses) == (5, listed.size - 5, listed.size)
        assert tracemalloc.get_traced_memory()[1] < 5 * listed.nbytes
    finally:
        tracemalloc.stop()
