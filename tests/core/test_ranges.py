"""The algebra of ranges against Python's own sets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.ranges import Ranges

UNIVERSE = 40
pairs = st.tuples(st.integers(0, UNIVERSE), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1]))
many = st.lists(pairs, max_size=8)


def as_set(ranges):
    return {number for first, last in ranges for number in range(first, last + 1)}


def is_canonical(ranges):
    listed = list(ranges)
    return all(first <= last for first, last in listed) and all(
        left[1] + 1 < right[0] for left, right in pairwise(listed)
    )


@given(many)
def test_of_is_canonical_and_exact(given_pairs):
    ranges = Ranges.of(given_pairs)
    members = as_set(given_pairs)
    assert is_canonical(ranges)
    assert as_set(ranges) == members
    assert ranges.size == len(members)
    assert [number for number in range(UNIVERSE + 10) if number in ranges] == sorted(members)


@given(many, many)
def test_algebra(left, right):
    a, b = Ranges.of(left), Ranges.of(right)
    for result, expected in (
        (a.union(b), as_set(left) | as_set(right)),
        (a.intersect(b), as_set(left) & as_set(right)),
        (a.minus(b), as_set(left) - as_set(right)),
    ):
        assert is_canonical(result)
        assert as_set(result) == expected


@given(many, pairs)
def test_covers(given_pairs, pair):
    assert Ranges.of(given_pairs).covers(*pair) == (as_set([pair]) <= as_set(given_pairs))


def test_empty_and_inverted():
    assert 0 not in Ranges()
    assert Ranges().size == 0
    assert not len(Ranges())
    assert not Ranges().covers(0, 0)
    with pytest.raises(ValueError, match="inverted"):
        Ranges.of([(2, 1)])
