from __future__ import annotations

import itertools
import math
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.campaign.plan import Plan
from stages.campaign.schedule import TURN, Entry, Lane, Past, decide, due, late, rate
from tests.campaign.world import Ran, World

T0 = 1_764_288_000.0  #: 2025-11-28T00:00:00Z
HOUR, DAY = 3_600.0, 86_400.0
FULL, KNOWN = Lane("a", "full", "local"), Lane("a", "known", "local")


def plan(name: str = "a", **more: object) -> Plan:
    return Plan.model_validate({"name": name, "full_every": DAY, "zone": "UTC", **more})


def entry(paused: bool = False, **more: object) -> Entry:
    return Entry(plan(**more), T0, paused)


def done(number: int, due: float, *, open: bool = False, began: float = -math.inf, ended: float = -math.inf) -> Past:
    return Past(number, due, open, began, ended)


@pytest.mark.parametrize(
    ("lane", "past", "now", "number", "at", "missed"),
    [
        (FULL, Past(), T0, 1, T0, 0),
        (FULL, Past(), T0 - 1, None, T0, 0),
        (KNOWN, Past(), T0, None, T0 + HOUR, 0),
        (KNOWN, Past(), T0 + HOUR, 1, T0 + HOUR, 0),
        (KNOWN, Past(), T0 + 3.5 * HOUR, 1, T0 + 3 * HOUR, 0),  # nothing is missed before the first one
        (FULL, done(1, T0), T0 + 1, None, T0 + DAY, 0),
        (FULL, done(1, T0), T0 + DAY, 2, T0 + DAY, 0),
        (FULL, done(1, T0), T0 + 5.2 * DAY, 2, T0 + 5 * DAY, 4),
        (FULL, done(1, T0, open=True), T0 + 5.2 * DAY, 1, T0, 0),
        (FULL, done(3, -math.inf), T0 + 5.2 * DAY, 4, T0 + 5 * DAY, 0),  # of another campaign
        (FULL, done(7, T0 + 3 * DAY), T0 + DAY, None, T0 + 4 * DAY, 0),  # the clock was set back
    ],
)
def test_what_is_due(lane: Lane, past: Past, now: float, number: int | None, at: float, missed: int) -> None:
    found = due(entry(known_every=HOUR), lane, past, now)
    if number is None:
        assert found.turn is None
        assert found.next == at
    else:
        assert found.turn is not None
        assert (found.turn.number, found.turn.due, found.turn.missed) == (number, at, missed)
        assert found.turn.resumes == past.open


def test_due_times_in_closed_hours_are_not_missed() -> None:
    night = entry(known_every=HOUR, hours="22-6")
    found = due(night, KNOWN, done(3, T0 + 5 * HOUR), T0 + 22 * HOUR)
    assert found.turn is not None
    assert (found.turn.due, found.turn.missed) == (T0 + 22 * HOUR, 0)
    noon = Entry(plan(hours="22-6"), T0 + 12 * HOUR)  # due in closed hours, and done in the night that follows
    off = due(noon, FULL, done(1, T0 + 12 * HOUR), T0 + 12 * HOUR + 5.2 * DAY)
    assert off.turn is not None
    assert off.turn.missed == 4


@pytest.mark.parametrize(
    ("lane", "past", "now", "windows"),
    [
        (FULL, Past(), T0 - DAY, 0),
        (FULL, Past(), T0 + 0.9 * DAY, 0),  # it waits for its first turn
        (FULL, Past(), T0 + 1.1 * DAY, 1),
        (KNOWN, Past(), T0 + 1.9 * HOUR, 0),
        (KNOWN, Past(), T0 + 2.1 * HOUR, 1),
        (FULL, done(1, T0), T0 + 1.9 * DAY, 0),
        (FULL, done(1, T0), T0 + 2.1 * DAY, 1),
        (FULL, done(1, T0, open=True), T0 + 1.9 * DAY, 0),  # the next one is late, by less than a window
        (FULL, done(1, T0, open=True), T0 + 5.2 * DAY, 4),
        (FULL, done(3, -math.inf), T0 + 5.2 * DAY, 0),  # of another campaign: a new one begins now
        (FULL, done(7, T0 + 3 * DAY), T0 + DAY, 0),  # the clock was set back
    ],
)
def test_how_late_a_sweep_is(lane: Lane, past: Past, now: float, windows: int) -> None:
    assert late(entry(known_every=HOUR), lane, past, now) == windows
    assert late(entry(True, known_every=HOUR), lane, past, now) == 0, "paused"


def test_nothing_is_late_while_it_is_closed() -> None:
    night = entry(known_every=HOUR / 2, hours="22-6")
    past = done(3, T0 + 5.5 * HOUR)
    assert late(night, KNOWN, past, T0 + 21.9 * HOUR) == 0
    assert late(night, KNOWN, past, T0 + 22.4 * HOUR) == 0
    assert late(night, KNOWN, past, T0 + 23.1 * HOUR) == 2
    assert late(night, FULL, done(1, T0), T0 + 2.1 * DAY) == 1


@pytest.mark.parametrize(
    ("asked", "probes", "window", "said"),
    [
        (100, 1_000, 0, 100),
        (100, 1_000, 100, 10),
        (5, 1_000, 100, 5),
        (0, 1_000, 100, 10),
        (100, 10, 1e6, 1),
        (7, 0, 9, 7),
    ],
)
def test_a_rate_that_fills_a_window(asked: float, probes: int, window: float, said: float) -> None:
    assert rate(asked, probes, window) == said


def test_a_refresh_interrupts_and_then_waits_as_long_as_it_took() -> None:
    entries = {"a": entry(known_every=HOUR)}
    pasts = {FULL: done(1, T0, open=True), KNOWN: done(1, T0 + HOUR, began=T0 + HOUR, ended=T0 + HOUR + 600)}
    since = T0 + 2 * HOUR - 100
    soon = decide(entries, pasts, {FULL: since}, T0 + 2 * HOUR)
    assert (soon.stop, soon.wake) == ({}, since + 600)
    assert decide(entries, pasts, {FULL: since}, since + 600).stop == {FULL: "refresh"}
    refresh = decide(entries, pasts, {KNOWN: since}, since + 9)
    assert (refresh.start, refresh.stop) == ([], {}), "a refresh is interrupted by nothing"


def test_hours_and_pauses_end_a_turn_and_begin_the_next() -> None:
    night = {"a": entry(hours="22-6")}
    day = decide(night, {FULL: done(1, T0, open=True)}, {FULL: T0}, T0 + 6 * HOUR)
    assert (day.stop, day.wake) == ({FULL: "hours"}, T0 + 22 * HOUR)
    closed = decide(night, {FULL: done(1, T0, open=True)}, {}, T0 + 7 * HOUR)
    assert (closed.start, closed.wake) == ([], T0 + 22 * HOUR)
    [on] = decide(night, {FULL: done(1, T0, open=True)}, {}, T0 + 22 * HOUR).start
    assert (on.resumes, on.number) == (True, 1)
    paused = {"a": entry(paused=True)}
    assert decide(paused, {}, {FULL: T0}, T0 + 1).stop == {FULL: "paused"}
    assert decide(paused, {}, {}, T0 + 1).start == []
    assert decide({}, {}, {FULL: T0}, T0 + 1).stop == {FULL: "stopped"}


def test_what_failed_is_tried_again_later() -> None:
    past = done(1, T0, open=True)
    past.retry = T0 + 30
    waits = decide({"a": entry()}, {FULL: past}, {}, T0 + 10)
    assert (waits.start, waits.wake) == ([], T0 + 30)
    assert decide({"a": entry()}, {FULL: past}, {}, T0 + 30).start


def complete(ran: list[Ran], lane: Lane) -> list[Ran]:
    return [each for each in ran if each.lane == lane and each.why == "complete"]


def assert_alone(ran: list[Ran]) -> None:
    """Never two sweeps at once at a vantage."""
    by_vantage = defaultdict(list)
    for each in ran:
        by_vantage[each.lane.vantage].append(each)
    for turns in by_vantage.values():
        for one, other in itertools.pairwise(sorted(turns, key=lambda each: each.began)):
            assert one.ended <= other.began


def test_three_weeks_of_a_campaign_by_night() -> None:
    """A full sweep of five hours each day, a refresh of a minute each hour, in the hours of 22 to 6."""
    night = plan(hours="22-6", known_every=HOUR)
    world = World([night], lambda lane: 5 * HOUR if lane.kind == "full" else 60.0, T0)
    ran = world.run(T0 + 21 * DAY)
    assert_alone(ran)
    assert [each.due for each in complete(ran, FULL)] == [T0 + n * DAY for n in range(21)], "one a day, none missed"
    assert all(each.missed == 0 for each in ran)
    for each in ran:
        assert night.opening.open(each.began), "only in its hours"
        assert night.opening.open(each.ended - world.stopping - 0.01)
    for each in complete(ran, KNOWN):
        opens = night.opening.opens(each.due)
        assert each.began - opens <= 2 * 60 + 2 * world.stopping, "a refresh waits for nobody long"
    assert len(complete(ran, KNOWN)) >= 21 * 8 - 1
    assert world.asked < 21 * 24 * 20, "it is asked when something changes, not all the time"


def test_three_weeks_with_the_machine_off_and_a_pause() -> None:
    off = [(T0 + 2.3 * DAY, T0 + 6.7 * DAY), (T0 + 10 * DAY + 100, T0 + 10 * DAY + 160)]
    pause = {"a": [(T0 + 14.5 * DAY, T0 + 16.2 * DAY)]}
    world = World([plan(known_every=6 * HOUR)], lambda _: 2 * HOUR, T0, off=off, paused=pause)
    ran = world.run(T0 + 21 * DAY)
    assert_alone(ran)
    fulls = complete(ran, FULL)
    dues = [round((each.due - T0) / DAY) for each in fulls]
    assert dues == sorted(set(dues)), "none twice"
    missed = sum(each.missed for each in ran if each.lane == FULL)
    assert missed + len(fulls) == 21, "each day was done or is told as missed"
    late = next(each for each in ran if each.lane == FULL and each.due == T0 + 6 * DAY)
    assert late.missed == 3
    assert late.began <= T0 + 6.7 * DAY + 2 * HOUR, "once, and at once, after the refresh that was due too"
    for start, end in [*off, *pause["a"]]:
        assert not [each for each in ran if start + world.stopping < each.ended < end]
    [killed] = [each for each in ran if each.why == "killed" and each.began >= T0 + 10 * DAY]
    again = next(each for each in ran if each.lane == killed.lane and each.began > killed.began)
    assert (again.number, again.due) == (killed.number, killed.due), "the same sweep goes on"


def test_three_weeks_of_refreshes_that_take_too_long_starve_no_full_sweep() -> None:
    """Refreshes take twice as long as they should: full sweeps have half of the time."""
    world = World([plan(known_every=600)], lambda lane: 8 * HOUR if lane.kind == "full" else 1_200.0, T0, stopping=0)
    ran = world.run(T0 + 21 * DAY)
    assert_alone(ran)
    assert [each.due for each in complete(ran, FULL)][:20] == [T0 + n * DAY for n in range(20)]
    spent = {kind: sum(each.ended - each.began for each in ran if each.lane.kind == kind) for kind in ("full", "known")}
    assert spent["known"] > 10 * DAY, "and refreshes have the rest"
    assert all(each.missed >= 1 for each in complete(ran, KNOWN)[2:-1]), "what cannot be done is told"


def test_three_weeks_of_three_campaigns_at_one_vantage_are_fair() -> None:
    plans = [plan(name, known_every=HOUR) for name in ("a", "b", "c")]
    world = World(plans, lambda lane: 10 * HOUR if lane.kind == "full" else 30.0, T0)
    ran = world.run(T0 + 21 * DAY)
    assert_alone(ran)
    spent = {
        name: sum(each.ended - each.began for each in ran if each.lane == Lane(name, "full", "local")) for name in "abc"
    }
    assert max(spent.values()) - min(spent.values()) <= 2 * TURN + 10 * HOUR, spent
    for name in "abc":
        refreshes = complete(ran, Lane(name, "known", "local"))
        assert len(refreshes) >= 21 * 24 - 2
        assert max(each.began - each.due for each in refreshes) < 400


def test_vantages_do_not_wait_for_each_other() -> None:
    two = plan(vantages=["local", "alice"])
    ran = World([two], lambda lane: 2 * HOUR if lane.vantage == "local" else 20 * HOUR, T0).run(T0 + 3 * DAY)
    assert [each.began for each in complete(ran, FULL)] == [T0, T0 + DAY, T0 + 2 * DAY]
    assert [each.began for each in complete(ran, Lane("a", "full", "alice"))] == [T0, T0 + DAY, T0 + 2 * DAY]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_happens_no_two_at_once_and_nothing_is_left(data: st.DataObject) -> None:
    draw = data.draw
    plans = []
    for name in draw(st.sampled_from(["a", "ab", "abc"])):
        known = draw(st.sampled_from([None, 600.0, HOUR]))
        hours = draw(st.sampled_from(["0-24", "22-6", "9-17"]))
        plans.append(plan(name, full_every=draw(st.sampled_from([6 * HOUR, DAY])), known_every=known, hours=hours))
    off = draw(st.lists(st.tuples(st.floats(0, 4 * DAY), st.floats(1, 6 * HOUR)), max_size=3))
    pauses = draw(st.lists(st.tuples(st.floats(0, 4 * DAY), st.floats(1, 6 * HOUR)), max_size=2))
    takes = {(kind, p.name): draw(st.floats(1, HOUR)) for kind in ("full", "known") for p in plans}
    world = World(
        plans,
        lambda lane: takes[lane.kind, lane.campaign],
        T0,
        off=[(T0 + start, T0 + start + length) for start, length in off],
        paused={"a": [(T0 + start, T0 + start + length) for start, length in pauses]},
    )
    ran = world.run(T0 + 5 * DAY)
    assert_alone(ran)
    for lane in {each.lane for each in ran}:
        of = [each for each in ran if each.lane == lane]
        numbers = [each.number for each in of]
        assert numbers == sorted(numbers)
        assert len({each.number for each in of if each.why == "complete"}) == len(complete(ran, lane)), "none twice"
        dues = [each.due for each in complete(ran, lane)]
        assert dues == sorted(set(dues))
        for each in of:
            assert next(p for p in plans if p.name == lane.campaign).opening.open(each.began)
    for p in plans:
        if len(plans) == 1 and p.known_every is None:
            assert len(complete(ran, Lane(p.name, "full", "local"))) >= 2
