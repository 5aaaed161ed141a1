from __future__ import annotations

import logging

import pytest

from stages.core.job import Desk, End, Job
from stages.core.offsets import Offsets
from stages.core.outcome import DeadReason, Outcome


def job(woken: list[int]) -> Job:
    entry = Offsets().add(("t", 0), 0, 1, 1, 4)
    return Job("record", Desk(lambda: woken.append(1)), entry, b"line", "10.0.0.1")


def test_the_first_finished_job_wakes_the_runner() -> None:
    woken: list[int] = []
    one = job(woken)
    two = Job("other", one.desk, one.entry, b"other")
    one.done(outcome=Outcome.EMPTY)
    two.local("no descriptors")
    assert woken == [1]
    assert one.desk.jobs == [one, two]
    assert (one.end, one.word, one.outputs) == (End.DONE, Outcome.EMPTY, ())
    assert (two.end, two.detail) == (End.LOCAL, "no descriptors")


def test_the_other_endings() -> None:
    dead, later = job([]), job([])
    dead.dead(DeadReason.REFUSED, "no")
    later.later(17)
    assert (dead.end, dead.word, dead.detail) == (End.DEAD, DeadReason.REFUSED, "no")
    assert (later.end, later.not_before) == (End.LATER, 17)


def test_finishing_twice_is_said_and_the_first_counts(caplog: pytest.LogCaptureFixture) -> None:
    one = job([])
    one.done()
    with caplog.at_level(logging.ERROR, "longline.core.job"):
        one.dead(DeadReason.BUG, "late")
        one.done()
    assert one.end is End.DONE
    assert len(one.desk.jobs) == 1
    assert len(caplog.records) == 2


def test_again_is_a_new_job_one_try_older() -> None:
    one = job([])
    one.local("x")
    two = one.again()
    assert (two.end, two.tries, two.record, two.line, two.host) == (End.OPEN, 1, "record", b"line", "10.0.0.1")
