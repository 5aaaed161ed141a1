"""Ages and times as a user writes them."""

from __future__ import annotations

import pytest

from stages.core.errors import UsageError
from stages.sink.retention import before, since

NOW = 1_795_244_400_000_000


def test_what_is_older() -> None:
    assert before(86_400.0, NOW) == NOW - 86_400_000_000
    assert before(0.5, NOW) == NOW - 500_000


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("0", NOW),
        ("90", NOW - 90_000_000),
        ("30m", NOW - 1_800_000_000),
        ("7d", NOW - 7 * 86_400_000_000),
        ("2026-11-21T07:00:00Z", NOW),
        ("2026-11-21T08:00:00.000001+01:00", NOW + 1),
    ],
)
def test_since(text: str, us: int) -> None:
    assert since(text, NOW) == us


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-21", "2026-11-21T07:00:00", "5 parsecs", "-1d"])
def test_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        since(text, NOW)
