from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.campaign.journal import Journal
from stages.campaign.schedule import Lane
from stages.cli.campaigns import ALIVE, standing
from tests.campaign.material import T0, campaign

FULL = Lane("a", "full", "local")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "campaign.db")
    yield journal
    journal.close()


def test_where_a_campaign_stands(journal: Journal) -> None:
    journal.register(campaign(known_every=100), T0)
    row = standing(journal, journal.campaign("a"), T0 + 1)
    assert (row["state"], row["late"], row["full"], row["missed"]) == ("waiting", 1.0, None, None)
    journal.begin(FULL, 1, T0, 2, T0 + 2)
    assert standing(journal, journal.campaign("a"), T0 + 3)["running"] == "full local"
    assert standing(journal, journal.campaign("a"), T0 + 3)["state"] == "running"
    assert standing(journal, journal.campaign("a"), T0 + 3 + ALIVE)["state"] == "not run"
    counters = {"loss": 0.021, "loss_low": 0.01, "loss_high": 0.034}
    journal.note(FULL, 1, {"started": T0 + 2, "counters": counters, "healthy": True}, state="complete")
    journal.end(FULL, "complete", T0 + 9)
    row = standing(journal, journal.campaign("a"), T0 + 10)
    assert (row["full"], row["missed"], row["healthy"]) == ("1 of 2025-11-28T00:00:02Z", "2.1 % (1.0-3.4)", True)
    assert row["next"] == "2025-11-28T00:01:40Z"
    [sweep] = row["sweeps"]
    assert (sweep["state"], sweep["windows_missed"]) == ("complete", 2)
    journal.pause("a", T0 + 11)
    assert standing(journal, journal.campaign("a"), T0 + 12)["state"] == "paused"


def test_a_long_sweep_runs_however_many_turns_another_vantage_has_had(journal: Journal) -> None:
    journal.register(campaign(known_every=100, vantages=["local", "alice"]), T0)
    journal.begin(FULL, 1, T0, 0, T0)
    other = Lane("a", "known", "alice")
    for n in range(1, 20):
        journal.begin(other, n, T0, 0, T0)
        journal.end(other, "complete", T0)
    assert standing(journal, journal.campaign("a"), T0 + 1)["running"] == "full local"


def test_a_campaign_outside_of_its_hours_is_closed(journal: Journal) -> None:
    journal.register(campaign(hours="1-2"), T0)
    assert standing(journal, journal.campaign("a"), T0 + 1)["state"] == "closed"
