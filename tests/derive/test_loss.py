from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.derive.loss import Population, Share, estimate, odd_hours, population, share


@pytest.mark.parametrize(
    ("part", "of", "low", "high"),
    [
        # Newcombe 1998, table I, method 3: Wilson's score interval without continuity correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilsons_interval_as_it_was_published(part: int, of: int, low: float, high: float) -> None:
    found = share(part, of)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_of_nothing_nothing_is_known() -> None:
    assert share(0, 0) is None
    assert population(10, 0, 0) == Population(10, 10, math.inf)
    with pytest.raises(ValueError, match="3 of 2"):
        share(3, 2)


def test_chapmans_estimator() -> None:
    """The textbook's lake: 200 marked, 150 caught, 30 of them marked: (201 x 151) / 31 - 1."""
    fish = population(200, 150, 30)
    assert round(fish.value, 2) == 978.06
    assert fish.low < 978.06 < fish.high


@given(st.integers(0, 5_000), st.integers(1, 5_000))
def test_the_interval_holds_its_share_and_grows_narrower(part: int, of: int) -> None:
    part = min(part, of)
    found, more = share(part, of), share(part * 4, of * 4)
    assert found is not None
    assert more is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert more.high - more.low < found.high - found.low
    rest = share(of - part, of)
    assert rest is not None
    assert (rest.low, rest.high) == pytest.approx((found.rest.low, found.rest.high))


@given(first=st.integers(1, 10_000), second=st.integers(1, 500), data=st.data())
def test_there_are_at_least_those_that_were_found(first: int, second: int, data: st.DataObject) -> None:
    both = data.draw(st.integers(0, min(first, second)))
    there = population(first, second, both)
    assert first + second - both <= there.low <= there.value <= there.high


@pytest.mark.parametrize(
    ("first", "second", "both", "value", "low", "high"),
    [
        (0, 3, 0, 3, 3, math.inf),  # nothing in common
        (5, 3, 0, 23, 5 / 0.5615, math.inf),
        (100, 100, 100, 100, 100, 100 / 0.9630),  # all were probed again, and none was new
        (98, 100, 97, 101.03, 101, 98 / 0.9155),  # at least those 98, and three that it had not
    ],
)
def test_edges_of_chapmans_estimator(first: int, second: int, both: int, value: float, low: float, high: float) -> None:
    there = population(first, second, both)
    assert there.value == pytest.approx(value, abs=0.01)
    assert there.low == pytest.approx(low, abs=0.01)
    assert there.high == pytest.approx(high, abs=0.01)


@pytest.mark.parametrize("loss", [0.0, 0.005, 0.02, 0.1, 0.4])
def test_the_interval_holds_the_truth_in_19_of_20_simulated_campaigns(loss: float) -> None:
    """Open targets, two probes that get lost independently: a scan of all, and a random sample of some again."""
    rng = random.Random(9)
    held = of = 0
    for _ in range(400):
        there = 4_000
        scan = [rng.random() >= loss for _ in range(there)]
        sampled = [i for i in range(there) if rng.random() < 0.1]
        again = [i for i in sampled if rng.random() >= loss]
        both = sum(scan[i] for i in again)
        said = estimate(
            found=sum(scan), sent=100_000, icmp=0, sample=(10_000, len(again), both), controls=(0, 0), by_hour={}
        )
        true = 1 - sum(scan) / there
        held += said["loss_low"] <= true <= said["loss_high"]
        of += said["open_low"] <= there <= said["open_high"]
    assert 0.92 <= held / 400 <= 1.0
    assert 0.92 <= of / 400 <= 1.0
    if loss >= 0.1:
        assert held / 400 <= 0.985, "and is no wider than it has to be"


def test_what_a_record_says() -> None:
    said = estimate(
        found=980, sent=100_000, icmp=500, sample=(10_000, 100, 98), controls=(40, 39), by_hour={"9": [100_000, 980]}
    )
    assert (said["loss"], said["loss_by"]) == (0.02, "sample")
    assert said["loss_low"] < 0.02 < said["loss_high"] < 0.08
    assert (said["sampled"], said["controls"], said["controls_answered"], said["icmp_rate"]) == (10_000, 40, 39, 0.005)
    assert said["open_low"] <= said["open"] <= said["open_high"]
    by_controls = estimate(found=9, sent=10, icmp=0, sample=None, controls=(40, 39), by_hour={})
    assert (by_controls["loss"], by_controls["loss_by"]) == (0.025, "controls")
    unknown = estimate(found=0, sent=0, icmp=0, sample=(5, 0, 0), controls=(0, 0), by_hour={})
    assert [unknown[key] for key in ("loss", "loss_low", "loss_high", "loss_by", "hit_rate")] == [None] * 5


def test_an_hour_in_which_less_comes_back_is_odd() -> None:
    day = {str(hour): [10_000, 100] for hour in range(24)}
    assert odd_hours(day) == []
    assert odd_hours({**day, "13": [10_000, 40]}) == ["13"]
    assert odd_hours({**day, "3": [10_000, 200]}) == ["3"]
    assert odd_hours({"1": [100, 1]}) == []
    assert odd_hours({"1": [100, 1], "2": [1, 1]}) == [], "too little to say"


@pytest.mark.parametrize(
    "probes",
    [
        [2_000] * 24,
        [20_000, 2_000],  # one hour has nearly all: what the others say is the less sure
        [2_000, 2_000],
    ],
)
def test_of_hours_that_are_alike_one_is_odd_in_few_days(probes: list[int]) -> None:
    rng = random.Random(3)
    days = 200
    odd = sum(
        bool(odd_hours({str(h): [n, sum(rng.random() < 0.01 for _ in range(n))] for h, n in enumerate(probes)}))
        for _ in range(days)
    )
    assert odd / days <= 0.1


def test_hours_of_hits_only_are_alike() -> None:
    assert odd_hours({"1": [1_000, 1_000], "2": [500, 500]}) == []
    assert odd_hours({"1": [100, 100], "2": [50, 90]}) == [], "answers of an hour to probes of the one before"
    assert odd_hours({}) == []
    assert odd_hours({"1": [0, 3]}) == []


def test_the_rest_of_a_share() -> None:
    assert Share(0.75, 0.5, 1.0).rest == Share(0.25, 0.0, 0.5)
