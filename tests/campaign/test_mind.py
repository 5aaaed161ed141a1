from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.campaign.journal import Journal
from stages.campaign.mind import Mind
from tests.campaign.material import T0, campaign

A, B, C = ("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.2", 443)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "campaign.db")
    yield journal
    journal.close()


@pytest.fixture
def mind(journal: Journal) -> Mind:
    return Mind(journal.file, campaign(known_every=10, full_every=40).plan, "local")


def test_services_come_are_due_and_stay_longer(mind: Mind) -> None:
    mind.saw([(A, "up"), (B, "up")], T0)
    assert mind.due(T0 + 9) == []
    assert sorted(mind.due(T0 + 10)) == [A, B]
    assert mind.due(T0 + 10, 1) == [A]
    mind.saw([(A, "up")], T0 + 10)
    mind.saw([(B, "other")], T0 + 10)
    assert mind.due(T0 + 20) == [B], "what has changed is due sooner than what has not"
    assert mind.due(T0 + 30) == [B, A], "the latest first"


def test_what_is_gone_is_looked_for_and_forgotten_by_a_full_sweep(mind: Mind) -> None:
    mind.saw([(A, "up"), (B, "up")], T0)
    mind.missed([A], T0 + 10)
    assert mind.count() == (1, 1)
    assert mind.due(T0 + 20) == [B, A]
    for n in (2, 3, 4):
        mind.missed([A], T0 + n * 10)
    assert mind.count() == (1, 1)
    mind.saw([(B, "up")], T0 + 60)
    mind.missed(None, T0 + 60)
    assert mind.count() == (1, 0), "forgotten"
    mind.missed([C], T0 + 70)
    assert mind.count() == (1, 0), "who never answered is not known"


def test_the_same_look_again_changes_nothing(mind: Mind) -> None:
    for _ in range(3):
        mind.saw([(A, "up")], T0)
        mind.missed(None, T0)
    assert mind.due(T0 + 10) == [A]
    for _ in range(3):
        mind.missed(None, T0 + 10)
        mind.saw([(A, "up")], T0 + 10)
    assert mind.count() == (0, 1), "each look counts once, as it was told first"


def test_each_campaign_and_vantage_for_itself(journal: Journal, mind: Mind) -> None:
    mind.saw([(A, "up")], T0)
    assert Mind(journal.file, campaign("b").plan, "local").count() == (0, 0)
    assert Mind(journal.file, campaign("a").plan, "alice").count() == (0, 0)


def test_many_at_once(mind: Mind) -> None:
    many = [((f"10.0.{n >> 8}.{n & 255}", 80), "up") for n in range(2_500)]
    mind.saw(many, T0)
    assert len(mind.due(T0 + 10)) == 2_500
    mind.missed(None, T0 + 10)
    assert mind.count() == (0, 2_500)
