from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.campaign.journal import Journal
from stages.campaign.schedule import Lane, Past
from stages.core.errors import HostError, UsageError
from tests.campaign.material import T0, campaign

FULL, KNOWN = Lane("a", "full", "local"), Lane("a", "known", "local")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "campaign.db")
    yield journal
    journal.close()


def test_a_campaign_keeps_its_beginning(journal: Journal) -> None:
    assert journal.register(campaign(), T0).begun == T0
    assert journal.register(campaign(full_every=7), T0 + 50).begun == T0
    assert journal.register(campaign("b"), T0 + 50).begun == T0 + 50
    assert [row.name for row in journal.campaigns()] == ["a", "b"]


def test_what_the_schedule_has_to_know(journal: Journal) -> None:
    journal.register(campaign(), T0)
    assert journal.pasts(["a"]) == {}
    journal.begin(FULL, 1, T0, 0, T0 + 1)
    assert journal.pasts(["a"]) == {FULL: Past(1, T0, True)}
    journal.end(FULL, "refresh", T0 + 5)
    journal.begin(FULL, 1, T0, 0, T0 + 6)
    journal.end(FULL, "refresh", T0 + 9)
    assert journal.pasts(["a"]) == {FULL: Past(1, T0, True, T0 + 6, T0 + 9, held=7)}
    journal.begin(FULL, 1, T0, 0, T0 + 10)
    journal.note(FULL, 1, {"x": 1}, state="complete")
    journal.end(FULL, "complete", T0 + 12)
    assert journal.pasts(["a"]) == {FULL: Past(1, T0, False, T0 + 10, T0 + 12)}
    assert journal.open("a") == []
    row = journal.sweep(FULL, 1)
    assert (row.state, row.body) == ("complete", {"x": 1})
    assert journal.last_full("a") == row
    assert journal.last_full("b") is None
    assert [(turn.began, turn.ended, turn.how) for turn in journal.turns("a")] == [
        (T0 + 1, T0 + 5, "refresh"), (T0 + 6, T0 + 9, "refresh"), (T0 + 10, T0 + 12, "complete"),
    ]  # fmt: skip


def test_the_newest_sweep_of_each_lane_counts(journal: Journal) -> None:
    far, other = Lane("a", "full", "alice"), Lane("b", "known", "local")
    for name in ("a", "b"):
        journal.register(campaign(name), T0)
    for n in range(1, 12):
        journal.skip(KNOWN, n, T0 + n)
    for lane, number in ((FULL, 2), (FULL, 10), (far, 3), (other, 1)):
        journal.skip(lane, number, T0 + number)
    journal.note(far, 3, {}, state="changed")
    pasts = journal.pasts(["a", "b"])
    assert {lane: (past.number, past.due) for lane, past in pasts.items()} == {
        KNOWN: (11, T0 + 11), FULL: (10, T0 + 10), far: (3, -math.inf), other: (1, T0 + 1),
    }  # fmt: skip
    assert set(journal.pasts(["a"])) == {KNOWN, FULL, far}


def test_two_turns_of_a_lane_at_once_are_refused(journal: Journal) -> None:
    journal.register(campaign(), T0)
    journal.begin(FULL, 1, T0, 0, T0)
    with pytest.raises(RuntimeError, match="at once"):
        journal.begin(FULL, 2, T0, 0, T0)


def test_a_turn_that_was_killed_ended_when_it_was_last_seen(journal: Journal) -> None:
    journal.register(campaign(), T0)
    journal.begin(FULL, 1, T0, 3, T0 + 1)
    assert journal.seen(["a"], T0 + 7) == {"a": False}
    journal.register(campaign(), T0 + 500)
    [turn] = journal.turns("a")
    assert (turn.ended, turn.how) == (T0 + 7, "killed")
    [sweep] = journal.open("a")
    assert (sweep.lane, sweep.number, sweep.missed, sweep.state) == (FULL, 1, 3, "open")


def test_a_pause_is_seen_by_another_handle(journal: Journal) -> None:
    journal.register(campaign(), T0)
    assert journal.pause("a", T0)
    assert not journal.pause("a", T0 + 1), "it is paused already"
    assert journal.seen(["a"], T0 + 2) == {"a": True}
    assert journal.campaign("a").paused == T0
    assert journal.pause("a", None)
    assert not journal.pause("a", None)
    assert journal.paused(["a"]) == {"a": False}
    with pytest.raises(UsageError, match="'b': no such campaign"):
        journal.pause("b", T0)


def test_no_journal_is_made_to_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Journal(tmp_path / "none.db", make=False)


HOLDER = """
import sys
from stages.campaign.journal import Journal
journal = Journal(sys.argv[1])
with journal.held("a"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_conductors_never_run_one_campaign(journal: Journal) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(journal.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(HostError, match="another process"), journal.held("a"):
            pass
        with journal.held("b"):
            pass
    finally:
        other.kill()
        other.wait()
        for pipe in (other.stdin, other.stdout):
            assert pipe is not None
            pipe.close()
    with journal.held("a"):
        pass
