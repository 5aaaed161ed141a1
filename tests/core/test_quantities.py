"""Durations and sizes as people write them."""

from __future__ import annotations

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.quantities import DURATIONS, SIZES, Seconds, Size, parse_seconds, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        (".5s", 0.5),
        ("500ms", 0.5),
        ("10 s", 10.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("90d", 7_776_000.0),
        ("1W", 604_800.0),
    ],
)
def test_seconds(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("65536", 65536), ("64KiB", 65536), ("64kib", 65536), ("1G", 10**9), ("1.5 MB", 1_500_000), ("2B", 2)],
)
def test_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "s", "-1", "1x", "1 2", "1e3", "nan", "inf", "١", "1..2", "5 m s"])
def test_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse_seconds(text)
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@given(st.integers(0, 10**9), st.sampled_from(sorted(SIZES)), st.sampled_from(sorted(DURATIONS)))
def test_whole_numbers_are_exact(number, size, duration):
    assert parse_size(f"{number}{size}") == number * SIZES[size]
    assert parse_seconds(f"{number}{duration}") == number * DURATIONS[duration]


def test_as_types_of_fields():
    class Model(pydantic.BaseModel):
        age: Seconds = 0.0
        room: Size = 0

    assert Model.model_validate({"age": "1h", "room": "1K"}) == Model(age=3600.0, room=1000)
    assert Model.model_validate({"age": 2, "room": 3}) == Model(age=2.0, room=3)
    for bad in ({"age": -1}, {"room": -1}, {"age": "x"}, {"room": "1.5.5"}):
        with pytest.raises(pydantic.ValidationError):
            Model.model_validate(bad)
