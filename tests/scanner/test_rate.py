from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.rate import BATCH_S, CATCH_UP, DEBT_S, MAX_BATCH, Pace, batch_size


@pytest.mark.parametrize(("rate", "size"), [
    (0, MAX_BATCH), (0.1, 1), (1, 1), (499, 1), (10_000, 20), (100_000, 200), (1_000_000, 2000),
    (2e6, MAX_BATCH), (1e9, MAX_BATCH),
])  # fmt: skip
def test_batch_size(rate: float, size: int) -> None:
    assert batch_size(rate) == size


def drive(rate: float, seconds: float, lateness: list[float]) -> tuple[int, float, list[tuple[float, int]]]:
    """Send as the sender does, waking late by the times given in turn; (packets, seconds, batches)."""
    pace, now, sent, batches, turn = Pace(rate, 0.0), 0.0, 0, [], 0
    size = batch_size(rate)
    while now < seconds:
        wait = pace.wait(now)
        if wait > 0:
            now += wait + lateness[turn % len(lateness)]
            turn += 1
            continue
        pace.sent(size, now)
        batches.append((now, size))
        sent += size
    return sent, now, batches


@pytest.mark.parametrize("rate", [1, 10, 1_000, 10_000, 33_333, 1_000_000])
def test_the_rate_is_exact_over_ten_seconds(rate: float) -> None:
    sent, seconds, _ = drive(rate, 10.0, [0.0, 30e-6, 80e-6])
    assert sent == pytest.approx(rate * seconds, rel=0.01, abs=batch_size(rate))


@pytest.mark.parametrize("rate", [1, 10, 1_000, 100_000, 1_000_000])
def test_hiccups_of_the_machine_are_made_up_for(rate: float) -> None:
    sent, seconds, _ = drive(rate, 10.0, [0.0] * 200 + [0.02, 0.005, 0.05])
    assert sent == pytest.approx(rate * seconds, rel=0.01, abs=batch_size(rate))


@given(st.floats(1, 1e6), st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_no_more_than_the_rate_and_no_burst(rate: float, lateness: list[float]) -> None:
    size = batch_size(rate)
    span = size / rate
    _, _, batches = drive(rate, 300 * span, [late * 20 * span for late in lateness])
    times = [when for when, _ in batches]
    assert all(later - sooner >= CATCH_UP * span * (1 - 1e-6) - 1e-9 for sooner, later in pairwise(times))
    for i in range(len(times)):
        assert i * size <= (times[i] - times[0]) * rate * (1 + 1e-9) + 1e-6  # never ahead of the schedule
        for j in range(i, min(i + 10, len(times))):
            behind = max(DEBT_S, span)
            assert (j - i) * size <= (times[j] - times[i] + behind) * rate * (1 + 1e-9) + 1e-6


def test_a_long_standstill_is_given_up() -> None:
    pace = Pace(1_000, 0.0)
    pace.sent(2, 0.0)
    now, sent = 5.0, 0
    while now < 6.0:
        if (wait := pace.wait(now)) > 0:
            now += wait
        pace.sent(2, now)
        sent += 2
    assert sent == pytest.approx(1_000 * (1 + DEBT_S), abs=4)


def test_a_pause_is_not_made_up_for() -> None:
    pace = Pace(1000, 0.0)
    pace.sent(2, 0.0)
    pace.restart(100.0)
    assert pace.wait(100.0) <= 0
    pace.sent(2, 100.0)
    assert pace.wait(100.0) == pytest.approx(0.002)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_another_rate_holds_from_then_on(before: float, after: float) -> None:
    pace = Pace(before, 0.0)
    pace.sent(batch_size(before), 0.0)
    assert pace.wait(0.0) == pytest.approx(batch_size(before) / before)
    pace.change(after, 0.0)
    assert pace.wait(0.0) == pytest.approx(batch_size(before) / after)  # what is owed is owed in packets
    now = pace.wait(0.0)
    start, sent = now, 0
    for _ in range(200):
        now += max(pace.wait(now), 0.0)
        pace.sent(batch_size(after), now)
        sent += batch_size(after)
    now += pace.wait(now)
    assert sent / (now - start) == pytest.approx(after)


def test_to_and_from_no_limit() -> None:
    pace = Pace(100, 0.0)
    pace.sent(1, 0.0)
    pace.change(0, 0.0)
    assert pace.wait(0.0) == 0.0
    pace.change(10, 1.0)
    pace.sent(1, 1.0)
    assert pace.wait(1.0) == pytest.approx(0.1)


def test_unlimited_never_waits() -> None:
    pace = Pace(0, 0.0)
    pace.sent(10**9, 0.0)
    assert pace.wait(0.0) == 0.0


def test_a_batch_spans_its_time() -> None:
    pace = Pace(10_000, 5.0)
    assert pace.wait(5.0) == 0.0
    pace.sent(20, 5.0)
    assert pace.wait(5.0) == pytest.approx(BATCH_S)
