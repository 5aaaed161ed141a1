"""Microseconds and RFC 3339."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.times import EARLIEST, LATEST, from_rfc3339, rfc3339


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_795_245_000_000_001, "2026-11-21T07:10:00.000001Z"),
        (EARLIEST, "0001-01-01T00:00:00.000000Z"),
        (LATEST, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_vectors(us, text):
    assert rfc3339(us) == text
    assert from_rfc3339(text) == us


@pytest.mark.parametrize(
    "text",
    ["2026-11-21T07:10:00Z", "2026-11-21T08:10:00+01:00", "2026-11-21T07:10:00.000Z", "2026-11-21T01:40:00-05:30"],
)
def test_any_offset(text):
    assert from_rfc3339(text) == 1_795_245_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-21T07:10:00",
        "2026-11-21",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_refused(text):
    with pytest.raises(ValueError):
        from_rfc3339(text)


@given(st.integers(EARLIEST, LATEST))
def test_round_trip_is_exact(us):
    text = rfc3339(us)
    assert from_rfc3339(text) == us
    assert len(text) == 27


@given(st.lists(st.integers(0, LATEST), min_size=2))
def test_text_sorts_as_time_does(times):
    assert sorted(map(rfc3339, times)) == [rfc3339(us) for us in sorted(times)]


@given(st.datetimes(timezones=st.timezones()))
def test_against_datetime(moment):
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    expected = (moment - epoch) // dt.timedelta(microseconds=1)
    if EARLIEST <= expected <= LATEST:
        assert from_rfc3339(moment.isoformat()) == expected
    else:
        with pytest.raises(ValueError, match="years 1 to 9999"):
            from_rfc3339(moment.isoformat())
