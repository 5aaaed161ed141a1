from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UsageError
from stages.core.hours import Hours, Opening


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [("0-24", (0, 12, 23), ()), ("8-18", (8, 17), (7, 18, 0)), ("22-6", (22, 23, 0, 5), (6, 12, 21))],
)
def test_hours_of_the_day_also_over_midnight(text: str, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    hours = Hours.parse(text)
    assert all(hours.contain(hour) for hour in inside)
    assert not any(hours.contain(hour) for hour in outside)


@pytest.mark.parametrize("text", ["", "8", "8-8", "24-3", "3-25", "a-b", "-3-4", "8-18-20"])
def test_no_hours(text: str) -> None:
    with pytest.raises(UsageError, match="--hours"):
        Hours.parse(text)


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def test_a_named_zone_and_its_next_change() -> None:
    night = Opening.parse("22-6", "Europe/Berlin")
    assert night.open(at("2026-07-01T22:30+02:00"))
    assert not night.open(at("2026-07-01T21:59+02:00"))
    assert night.change(at("2026-07-01T21:15+02:00")) == at("2026-07-01T22:00+02:00")
    assert night.change(at("2026-07-01T23:15+02:00")) == at("2026-07-02T06:00+02:00")
    assert night.opens(at("2026-07-01T12:00+02:00")) == at("2026-07-01T22:00+02:00")
    assert night.share == 8 / 24


def test_a_night_in_which_the_clocks_change_is_longer() -> None:
    night = Opening.parse("22-6", "Europe/Berlin")
    assert night.change(at("2026-10-24T22:00+02:00")) == at("2026-10-25T06:00+01:00")


def test_a_zone_half_an_hour_beside() -> None:
    assert Opening.parse("8-18", "Asia/Kolkata").change(at("2026-07-01T07:10+05:30")) == at("2026-07-01T08:00+05:30")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd"])
def test_no_zone(zone: str) -> None:
    with pytest.raises(UsageError, match="zone"):
        Opening.parse("0-24", zone)


def test_always_never_changes() -> None:
    assert Opening().change(1e9) is None
    assert Opening.parse("0-24", "UTC").share == 1.0


@given(
    moment=st.floats(1.6e9, 2.0e9),
    first=st.integers(0, 23),
    last=st.integers(0, 24),
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "local"]),
)
def test_between_now_and_the_change_nothing_changes(moment: float, first: int, last: int, zone: str) -> None:
    if first == last:
        return
    opening = Opening(Hours(first, last), zone)
    change = opening.change(moment)
    if change is None:
        assert opening.hours.always
        return
    assert moment < change <= moment + 25 * 3_600
    assert opening.open(change) != opening.open(moment)
    assert opening.open((moment + change) / 2) == opening.open(moment)
