"""What is due, and who may run now. Pure: the plans, what was done and the time come in, decisions go out.

A *lane* is one kind of sweep of one campaign from one vantage. Its due times are a grid: `full_every` (`known_every`)
seconds apart, counted from the campaign's start, so that a late sweep makes no later one late. Of due times that went
by (the machine was off, the sweep before took longer) only the newest is made up for; the others are told as missed.

A vantage does one sweep at a time, and shares its time so:

- A refresh of known services goes before a full sweep, and interrupts it: the full sweep ends its turn at its
  checkpoint and goes on afterwards. But then it has at least as long as the refresh took before it is interrupted
  again: refreshes that take longer than they should never take more than half of the time from full sweeps.
- Of refreshes that are due the one goes first that is latest, measured in its own period.
- Full sweeps of several campaigns take turns of an hour (or a quarter of the period of who waits, if that is less);
  who has waited longest goes next. A turn that a refresh interrupts is not over.

Outside of a campaign's hours, and while it is paused, nothing of it runs: a sweep that does ends its turn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from stages.campaign.plan import Plan
from stages.core.hours import Opening

Kind = Literal["full", "known"]
KINDS: Final[tuple[Kind, ...]] = ("full", "known")

#: Why a turn ends before its sweep is complete.
Why = Literal["hours", "paused", "refresh", "turn", "stopped"]

#: Seconds of a turn where other full sweeps wait: to begin again costs a cooldown and a look at the controls.
TURN: Final = 3_600.0
TURN_SHARE: Final = 0.25

#: Due times that went by which are looked at one by one, whether their windows had open hours.
MAX_LOOKED: Final = 10_000


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """One kind of sweep of one campaign from one vantage."""

    campaign: str
    kind: Kind
    vantage: str


@dataclass(slots=True)
class Past:
    """What the journal knows of a lane. Times are seconds since the epoch."""

    number: int = 0  #: of the newest sweep; 0: there was none
    due: float = -math.inf  #: when it was due; never: it does not count, as the campaign was another one
    open: bool = False  #: it has not come to its end
    began: float = -math.inf  #: the last turn
    ended: float = -math.inf
    held: float = 0.0  #: seconds that it has had of its turn until a refresh interrupted it; 0: its turn is over
    retry: float = -math.inf  #: not before then: it has failed


@dataclass(frozen=True, slots=True)
class Entry:
    """A campaign as the schedule sees it."""

    plan: Plan
    begun: float  #: its due times are counted from here
    paused: bool = False

    def lanes(self) -> Iterator[Lane]:
        for kind in KINDS:
            if self.plan.every(kind) is not None:
                yield from (Lane(self.plan.name, kind, vantage) for vantage in self.plan.vantages)


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to run: a new sweep, or one that goes on."""

    lane: Lane
    number: int
    due: float
    resumes: bool
    missed: int = 0  #: due times before this one that nothing was done for


@dataclass(slots=True)
class Decision:
    start: list[Turn] = field(default_factory=list)
    stop: dict[Lane, Why] = field(default_factory=dict)
    wake: float = math.inf  #: when to ask again, at the latest


@dataclass(frozen=True, slots=True)
class Due:
    """Where a lane stands."""

    turn: Turn | None  #: what is due now
    next: float  #: when something is due, if nothing is


def due(entry: Entry, lane: Lane, past: Past, now: float) -> Due:
    """What of a lane is due, whatever else runs."""
    every = entry.plan.every(lane.kind)
    assert every is not None
    if past.open:
        return Due(Turn(lane, past.number, past.due, True), now)
    first = 0 if lane.kind == "full" else 1
    newest = math.floor((now - entry.begun) / every)
    at = entry.begun + newest * every
    # Half a period: the grid may be another one than that of the last sweep, if the plan was changed.
    if newest >= first and at > past.due + every / 2:
        if past.number == 0 or math.isinf(past.due):
            before = newest - 1  # what `start` counts from may be long before the campaign was first run
        else:
            before = max(first - 1, round((past.due - entry.begun) / every))
        return Due(Turn(lane, past.number + 1, at, False, _missed(entry, before, newest, every)), at)
    later = max(newest + 1, first)
    while entry.begun + later * every <= past.due + every / 2:
        later = max(later + 1, math.floor((past.due + every / 2 - entry.begun) / every))
    return Due(None, entry.begun + later * every)


def late(entry: Entry, lane: Lane, past: Past, now: float) -> int:
    """By how many whole windows a lane's next sweep is late, whether it waits for others, for the one before it, or for
    a cause that makes each turn fail. A campaign that is paused is not late."""
    every = entry.plan.every(lane.kind)
    if every is None or entry.paused or (past.number and math.isinf(past.due)):
        return 0
    first = 0 if lane.kind == "full" else 1
    waits = round((past.due - entry.begun) / every) + 1 if past.number else first
    came = _missed(entry, max(first, waits) - 1, math.floor((now - entry.begun) / every) + 1, every)
    return max(0, came - 1)


def decide(
    entries: Mapping[str, Entry], pasts: Mapping[Lane, Past], running: Mapping[Lane, float], now: float
) -> Decision:
    """`running`: lane -> since when. A lane that is told to stop runs on until its executor has ended; ask again."""
    decision = Decision()
    ready: dict[str, list[Turn]] = {}
    for entry in entries.values():
        opening = entry.plan.opening
        closed = not opening.open(now)
        if (change := opening.change(now)) is not None:
            decision.wake = min(decision.wake, change)
        for lane in entry.lanes():
            if lane in running:
                if entry.paused or closed:
                    decision.stop[lane] = "paused" if entry.paused else "hours"
                continue
            if entry.paused:
                continue
            past = pasts.get(lane, _NEVER)
            stands = due(entry, lane, past, now)
            if stands.turn is None or past.retry > now:
                decision.wake = min(decision.wake, max(stands.next, past.retry))
            elif not closed:
                ready.setdefault(lane.vantage, []).append(stands.turn)
    busy: dict[str, Lane] = {lane.vantage: lane for lane in running}
    for lane in running:
        if lane.campaign not in entries:
            decision.stop[lane] = "stopped"
    for vantage, turns in ready.items():
        lanes = [lane for lane in pasts if lane.vantage == vantage]
        sweeping = busy.get(vantage)
        if sweeping is None:
            decision.start.append(_first(entries, pasts, lanes, turns, now))
        elif sweeping.kind == "full" and sweeping not in decision.stop:
            _interrupt(decision, entries, pasts, lanes, sweeping, running[sweeping], turns, now)
    return decision


def rate(asked: float, probes: int, window: float) -> float:
    """Probes per second at which a sweep of so many probes fills `window` seconds, never above what was asked for
    (0: as fast as it goes), never below one."""
    if window <= 0 or probes <= 0:
        return asked
    spread = max(1.0, probes / window)
    return spread if asked <= 0 else min(asked, spread)


_NEVER: Final = Past()


def _missed(entry: Entry, before: int, newest: int, every: float) -> int:
    """Due times between two in whose window something could have been done."""
    between = newest - before - 1
    opening = entry.plan.opening
    if between <= 0 or opening.hours.always:
        return max(0, between)
    looked = range(max(before + 1, newest - MAX_LOOKED), newest)
    return sum(_opens(opening, entry.begun + k * every, every) for k in looked)


def _opens(opening: Opening, at: float, every: float) -> bool:
    """Whether it is open at some moment of a window; one in each hour is enough, as it opens for whole hours."""
    hourly = (at + hour * 3_600 for hour in range(math.ceil(every / 3_600)))
    return any(map(opening.open, hourly)) or opening.open(at + every - 0.001)


def _last(pasts: Mapping[Lane, Past], lanes: Iterable[Lane], kind: Kind) -> Past:
    """The newest turn of a kind at a vantage."""
    return max((pasts[lane] for lane in lanes if lane.kind == kind), key=lambda past: past.ended, default=_NEVER)


def _length(refresh: Past) -> float:
    return 0.0 if math.isinf(refresh.ended) else max(0.0, refresh.ended - refresh.began)


def _first(
    entries: Mapping[str, Entry], pasts: Mapping[Lane, Past], lanes: list[Lane], turns: list[Turn], now: float
) -> Turn:
    """Who goes first where nobody runs."""
    known = [turn for turn in turns if turn.lane.kind == "known"]
    full = [turn for turn in turns if turn.lane.kind == "full"]
    if known and full:
        refresh, sweep = _last(pasts, lanes, "known"), _last(pasts, lanes, "full")
        if not math.isinf(refresh.ended) and sweep.ended <= refresh.ended:
            known = []  # the full sweep that was interrupted has its time first
    if known:
        return max(known, key=lambda turn: (_lateness(entries, turn, now), turn.lane))
    return min(full, key=lambda turn: _waited(pasts.get(turn.lane, _NEVER), turn))


def _waited(past: Past, turn: Turn) -> tuple[object, ...]:
    """The least goes first: whose turn it still is, then who has waited longest."""
    return (past.held <= 0, past.ended, turn.due, turn.lane)


def _lateness(entries: Mapping[str, Entry], turn: Turn, now: float) -> float:
    """How late, in periods of its own."""
    return (now - turn.due) / (entries[turn.lane.campaign].plan.every(turn.lane.kind) or math.inf)


def _interrupt(
    decision: Decision,
    entries: Mapping[str, Entry],
    pasts: Mapping[Lane, Past],
    lanes: list[Lane],
    lane: Lane,
    since: float,
    turns: list[Turn],
    now: float,
) -> None:
    """Whether a full sweep that runs gives way to what is due at its vantage, or when it will."""
    for turn in turns:
        why: Why = "refresh"
        ends = since + _length(_last(pasts, lanes, "known"))
        if turn.lane.kind == "full":
            every = entries[turn.lane.campaign].plan.full_every
            why, ends = "turn", since - pasts[lane].held + min(TURN, every * TURN_SHARE)
        if ends <= now:
            decision.stop[lane] = why
            return
        decision.wake = min(decision.wake, ends)
