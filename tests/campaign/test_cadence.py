from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.campaign.cadence import GONE, Known, forgotten, look

LEAST, MOST = 3_600.0, 86_400.0


def looks(*states: str) -> list[float | None]:
    known, at, said = None, 1e9, []
    for state in states:
        known = look(known, state, at, LEAST, MOST)
        said.append(None if known is None else known.interval)
        at = at + 1 if known is None else known.next
    return said


def test_what_stays_is_looked_at_ever_more_seldom() -> None:
    assert looks(*["up"] * 7) == [3_600, 7_200, 14_400, 28_800, 57_600, 86_400, 86_400]


def test_what_changes_is_looked_at_more_often() -> None:
    assert looks("a", "a", "a", "b", "a", "a") == [3_600, 7_200, 14_400, 7_200, 3_600, 7_200]


def test_to_come_and_to_go_are_changes() -> None:
    assert looks(GONE, "a", "a", "a", GONE, GONE, "a") == [None, 3_600, 7_200, 14_400, 7_200, 14_400, 7_200]


def test_what_is_gone_for_long_is_forgotten() -> None:
    assert forgotten(Known(GONE, MOST, 0), MOST)
    assert not forgotten(Known(GONE, MOST / 2, 0), MOST)
    assert not forgotten(Known("a", MOST, 0), MOST)


@given(st.lists(st.sampled_from(["a", "b", GONE])), st.floats(1, 1e6), st.floats(1, 100))
def test_an_interval_stays_within_its_bounds_and_a_look_counts_once(states: list[str], least: float, by: float) -> None:
    known, at = None, 1e9
    for state in states:
        known = look(known, state, at, least, least * by)
        if known is not None:
            assert least <= known.interval <= least * by
            assert look(known, "another", at, least, least * by) is known
            at = known.next
