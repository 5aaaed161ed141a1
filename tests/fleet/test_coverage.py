from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stages.fleet.coverage import Done, coverage, minus, union

INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


def numbers(intervals: list[tuple[int, int]]) -> set[int]:
    return {n for first, last in intervals for n in range(first, last)}


@given(INTERVALS)
def test_union_is_the_same_numbers_sorted_disjoint_and_apart(intervals: list[tuple[int, int]]) -> None:
    joined = union(intervals)
    assert numbers(joined) == numbers(intervals)
    assert all(first < last for first, last in joined)
    assert all(a[1] < b[0] for a, b in pairwise(joined))


@given(INTERVALS, INTERVALS)
def test_minus_is_set_difference(whole: list[tuple[int, int]], part: list[tuple[int, int]]) -> None:
    assert numbers(minus(union(whole), union(part))) == numbers(whole) - numbers(part)


@given(INTERVALS)
def test_missing_and_twice_are_counted_exactly(intervals: list[tuple[int, int]]) -> None:
    seen = coverage(50, [Done(first, last) for first, last in intervals if first < last])
    assert numbers([(first, last) for first, last, _ in seen.missing]) == set(range(50)) - numbers(intervals)
    assert seen.twice == sum(max(0, last - first) for first, last in intervals) - len(numbers(intervals))
    assert seen.complete == (not seen.missing)


def test_what_was_skipped_is_wanted_again_of_these_networks_only() -> None:
    net = ("10.0.0.0/24",)
    done = [Done(0, 10, None, net), Done(10, 20)]
    assert coverage(20, done).missing == ((0, 10, net),)
    assert coverage(20, [*done, Done(0, 4, net)]).missing == ((4, 10, net),)
    assert coverage(20, [*done, Done(0, 4, net), Done(4, 10, net)]).complete


def test_who_skips_a_part_of_what_was_skipped_asks_again_for_that_part() -> None:
    nets, less = ("10.0.0.0/24", "10.0.2.0/24"), ("10.0.2.0/24",)
    done = [Done(0, 20, None, nets), Done(0, 20, nets, less)]
    assert coverage(20, done).missing == ((0, 20, less),)


def test_nothing_is_complete_and_twice_is_told_of_what_nobody_wanted_too() -> None:
    assert coverage(0, []).complete
    assert coverage(10, [Done(0, 10), Done(3, 5)]).twice == 2
