from __future__ import annotations

import pytest

from stages.scanner.progress import Progress, Sample, clock_text, left_text, rate_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 "), (118, "118 "), (999.4, "999 "), (1000, "1.00 K"), (10_327, "10.3 K"), (562_000, "562 K"),
     (1.5e6, "1.50 M"),     (2e9, "2.00 G")],
)  # fmt: skip
def test_rates(value: float, text: str) -> None:
    assert rate_text(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(1, "0:01"), (61.9, "1:01"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (37.9, "37s"), (245, "4m05s"), (6660, "1h51m"), (183_600, "2d03h")]
)
def test_time_left(seconds: float, text: str) -> None:
    assert left_text(seconds) == text


def test_lines_as_zmaps_users_know_them() -> None:
    progress = Progress(Sample(100, 0, 0, 0, 0), last=100_000, cooldown=8)
    assert progress.line(Sample(101, 10_000, 100, 0, 10_000), sending=True) == (
        " 0:01 6% (17s left); send: 10000 10.0 Kp/s (10.0 Kp/s avg); recv: 100 100 p/s (100 p/s avg); "
        "drops: 0 p/s (0 p/s avg); hitrate: 1.00%"
    )
    assert progress.line(Sample(102, 30_000, 150, 5, 30_000), sending=True) == (
        " 0:02 14% (12s left); send: 30000 20.0 Kp/s (15.0 Kp/s avg); recv: 150 50 p/s (75 p/s avg); "
        "drops: 5 p/s (2 p/s avg); hitrate: 0.50%"
    )
    assert progress.line(Sample(110, 100_000, 1000, 5, 100_000), sending=False) == (
        " 0:10 56% (8s left); send: 100000 done (10.0 Kp/s avg); recv: 1000 106 p/s (100 p/s avg); "
        "drops: 0 p/s (0 p/s avg); hitrate: 1.00%"
    )
    assert " 0:18 100% (0s left); send: 100000 done (10.0 Kp/s avg)" in progress.line(
        Sample(118, 100_000, 1000, 5, 100_000), sending=False
    )


def test_nothing_is_promised_before_anything_was_sent() -> None:
    progress = Progress(Sample(0, 0, 0, 0, 500), last=1000, cooldown=8)
    assert progress.line(Sample(1, 0, 0, 0, 500), sending=True).startswith(" 0:01 0%; send: 0 0 p/s ")


def test_a_runtime_limit_bounds_the_time_left() -> None:
    progress = Progress(Sample(0, 0, 0, 0, 0), last=10**9, cooldown=2, max_runtime=10)
    assert " 0:05 42% (7s left)" in progress.line(Sample(5, 50, 0, 0, 50), sending=True)


def test_the_average_ends_with_the_sending_not_with_the_next_line() -> None:
    progress = Progress(Sample(0, 0, 0, 0, 0), last=1000, cooldown=2)
    progress.sent_all(0.5)
    progress.sent_all(0.9)
    line = progress.line(Sample(1, 1000, 10, 0, 1000), sending=False)
    assert line.startswith(" 0:01 40% (1s left); send: 1000 done (2.00 Kp/s avg);")
