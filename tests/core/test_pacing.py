from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.pacing import Pace, backoff

rates = st.floats(0.1, 100_000)
bursts = st.floats(1, 50)


def test_without_a_rate_there_is_no_limit() -> None:
    pace = Pace(0)
    pace.take(1.0, 1_000_000)
    assert pace.room(1.0, 5) == 5
    assert pace.next_at(1.0) == 1.0


def test_one_by_one() -> None:
    pace = Pace(10, burst=1)
    assert pace.room(100.0, 9) == 1
    pace.take(100.0)
    assert pace.room(100.0, 9) == 0
    assert pace.next_at(100.0) == pytest.approx(100.1)
    assert pace.room(100.05, 9) == 0
    assert pace.room(100.1, 9) == 1


def test_the_burst_comes_back_after_a_pause() -> None:
    pace = Pace(10, burst=5)
    assert pace.room(0.0, 9) == 5
    pace.take(0.0, 5)
    assert pace.room(0.0, 9) == 0
    assert pace.room(0.2, 9) == 2
    assert pace.room(1000.0, 9) == 5


def test_another_rate_forgets_nothing() -> None:
    pace = Pace(1, burst=1)
    pace.take(0.0)
    pace.set_rate(100, burst=1)
    assert pace.rate == 100
    assert pace.room(0.5, 9) == 0
    assert pace.room(1.0, 9) == 1


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Pace(rate)


@given(rates, bursts, st.floats(0, 1e7), st.lists(st.tuples(st.floats(0, 3), st.integers(0, 20)), max_size=40))
def test_never_more_than_rate_times_window_plus_burst(
    rate: float, burst: float, start: float, steps: list[tuple[float, int]]
) -> None:
    pace = Pace(rate, burst)
    now = start
    went: list[tuple[float, int]] = []
    for wait, wanted in steps:
        now += wait / rate
        n = pace.room(now, wanted)
        assert 0 <= n <= wanted
        if n:
            pace.take(now, n)
            went.append((now, n))
    for i, (first, _) in enumerate(went):
        total = 0
        for last, n in went[i:]:
            total += n
            slack = 1e-3 + len(went) * rate * 1e-8  # rounding of times around 10^7 s
            assert total <= (last - first) * rate + burst + slack


@given(rates, bursts, st.floats(0, 1e6))
def test_when_it_says_one_may_go_one_may_go(rate: float, burst: float, start: float) -> None:
    pace = Pace(rate, burst)
    now = start
    for _ in range(20):
        now = pace.next_at(now)
        assert pace.room(now, 1) == 1
        pace.take(now)


def test_backoff_doubles_and_is_bounded() -> None:
    assert [backoff(i, 0.1, 1.0) for i in range(5)] == [0.1, 0.2, 0.4, 0.8, 1.0]
    assert backoff(10_000, 0.1, 5.0) == 5.0
