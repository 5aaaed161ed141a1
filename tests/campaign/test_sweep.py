from __future__ import annotations

import pytest

from stages.campaign.schedule import Lane
from stages.campaign.sweep import Report, sweep_name


@pytest.mark.parametrize(
    ("lane", "said"),
    [
        (Lane("watch", "full", "local"), "watch-full-000012"),
        (Lane("watch", "known", "alice"), "watch-known-alice-000012"),
    ],
)
def test_the_name_of_a_sweep(lane: Lane, said: str) -> None:
    assert sweep_name(lane, 12) == said


def test_a_report_is_read_as_it_was_noted() -> None:
    report = Report(True, 3, 4, 5, 6, 7, {"9": [1, 2]})
    assert Report(**report.body()) == report
