"""A world in which campaigns are scheduled: sweeps take as long as it says, machines are off, time is a number.

It does with the schedule what a conductor does, and notes every turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stages.campaign.plan import Plan
from stages.campaign.schedule import Entry, Lane, Past, Turn, decide


@dataclass(frozen=True, slots=True)
class Ran:
    lane: Lane
    number: int
    due: float
    began: float
    ended: float
    why: str  #: "complete", or why the turn ended
    missed: int


@dataclass
class World:
    """`takes`: seconds of work in a sweep of a lane. `stopping`: seconds until a sweep that is told to stop has."""

    plans: Sequence[Plan]
    takes: Callable[[Lane], float]
    begun: float
    stopping: float = 8.0
    off: Sequence[tuple[float, float]] = ()  #: the machine is off from, to
    paused: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.pasts: dict[Lane, Past] = {}
        self._left: dict[Lane, float] = {}  # seconds of work left of an open sweep
        self._running: dict[Lane, tuple[Turn, float]] = {}
        self._stops: dict[Lane, tuple[float, str]] = {}  # lane -> when its turn ends, why

    def run(self, until: float) -> list[Ran]:
        now = self.begun
        edges = sorted({edge for spans in (self.off, *self.paused.values()) for span in spans for edge in span})
        while now < until:
            dark = next((end for start, end in self.off if start <= now < end), None)
            if dark is not None:
                for lane in list(self._running):
                    self._end(lane, now, "killed")
                now = dark
                continue
            for lane, (turn, since) in list(self._running.items()):
                if lane in self._stops and self._stops[lane][0] <= now:
                    self._end(lane, now, self._stops[lane][1])
                elif since + self._left[lane] <= now and lane not in self._stops:
                    self._end(lane, now, "complete")
                assert turn.lane == lane
            entries = {plan.name: Entry(plan, self.begun, self._is_paused(plan.name, now)) for plan in self.plans}
            self.asked += 1
            decision = decide(entries, self.pasts, {lane: since for lane, (_, since) in self._running.items()}, now)
            for lane, why in decision.stop.items():
                self._stops.setdefault(lane, (now + self.stopping, why))
            for turn in decision.start:
                self._begin(turn, now)
            if decision.start:
                continue
            ends = [since + self._left[lane] for lane, (_, since) in self._running.items() if lane not in self._stops]
            ends += [at for at, _ in self._stops.values()]
            ends += [edge for edge in edges if edge > now]
            now = max(min([decision.wake, *ends, until]), math.nextafter(now, math.inf))
        return self.ran

    def _is_paused(self, name: str, now: float) -> bool:
        return any(start <= now < end for start, end in self.paused.get(name, ()))

    def _begin(self, turn: Turn, now: float) -> None:
        lane = turn.lane
        assert lane not in self._running, "never two sweeps of the same thing at once"
        assert all(other.vantage != lane.vantage for other in self._running), "a vantage does one at a time"
        past = self.pasts.setdefault(lane, Past())
        assert turn.resumes == past.open
        assert turn.number == (past.number if turn.resumes else past.number + 1)
        if not turn.resumes:
            self._left[lane] = self.takes(lane)
        past.number, past.due, past.open = turn.number, turn.due, True
        self._running[lane] = (turn, now)

    def _end(self, lane: Lane, now: float, why: str) -> None:
        turn, since = self._running.pop(lane)
        self._stops.pop(lane, None)
        past = self.pasts[lane]
        past.began, past.ended, past.open = since, now, why != "complete"
        past.held = past.held + now - since if why == "refresh" else 0.0
        if why != "killed":  # what was done since the last checkpoint is lost then; here all of the turn
            self._left[lane] = max(0.0, self._left[lane] - (now - since))
        self.ran.append(Ran(lane, turn.number, turn.due, since, now, why, turn.missed))
