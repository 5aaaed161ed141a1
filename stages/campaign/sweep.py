"""What a sweep is for who does it, and what came of it: the words between conductor and executor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stages.campaign.plan import Campaign, Plan
from stages.campaign.schedule import Lane, Turn

#: (address, port)
Pair = tuple[str, int]

#: Whether a sweep has probed (address as 16 bytes, port, transport).
Covers = Callable[[bytes, int, str], bool]


@dataclass(frozen=True, slots=True)
class Job:
    """One turn of a sweep."""

    campaign: Campaign
    turn: Turn
    pairs: Sequence[Pair] | None = None  #: what a refresh looks at; None: a full sweep

    @property
    def plan(self) -> Plan:
        return self.campaign.plan

    @property
    def lane(self) -> Lane:
        return self.turn.lane

    @property
    def name(self) -> str:
        """Of the sweep's scan, in every record."""
        return sweep_name(self.lane, self.turn.number)


def sweep_name(lane: Lane, number: int) -> str:
    """`watch-full-000012`; of vantages other than this machine `watch-full-alice-000012`."""
    at = "" if lane.vantage == "local" else f"{lane.vantage}-"
    return f"{lane.campaign}-{lane.kind}-{at}{number:06d}"


@dataclass(frozen=True, slots=True)
class Report:
    """How far a sweep has come, over all of its turns."""

    complete: bool
    position: int = 0  #: targets done
    targets: int = 0
    sent: int = 0  #: probes
    found: int = 0  #: open targets
    icmp: int = 0  #: answers that were ICMP errors, of this turn
    by_hour: Mapping[str, Sequence[int]] = field(default_factory=dict)  #: of this turn: hour -> [probes, open targets]

    def body(self) -> dict[str, Any]:
        return {
            "complete": self.complete, "position": self.position, "targets": self.targets, "sent": self.sent,
            "found": self.found, "icmp": self.icmp, "by_hour": {k: list(v) for k, v in self.by_hour.items()},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """Targets of a sweep that were probed again, drawn at random."""

    probed: int
    found: int  #: answered now
    both: int  #: of these, the sweep had found


@dataclass(frozen=True, slots=True)
class Swept:
    """A complete sweep, for who derives the state of services from it. Times are microseconds since the epoch."""

    scan: str
    vantage: str
    started: int
    ended: int
    healthy: bool  #: the known responders answered
    complete: bool
    covers: Covers


class Another(Exception):
    """The sweep that was begun cannot be gone on with: the campaign is about something else now. A new one is due."""


class Stopped(Exception):
    """Somebody has stopped the sweep for good."""


class Executor(Protocol):
    """Does sweeps from one vantage. What it raises (Unavailable, HostError) ends a turn; it is tried again later."""

    async def sweep(self, job: Job, stop: asyncio.Event) -> Report:
        """To its end, or until `stop`; then it goes on from its checkpoint when it is called again. When it returns,
        what was found is stored. Raises Another, Stopped."""

    async def controls(self, job: Job) -> int:
        """How many of the plan's controls answer now."""

    async def sample(self, job: Job, report: Report, seed: int, stop: asyncio.Event) -> Sample | None:
        """Probe some targets of a complete full sweep again. None: that cannot be done here, or `stop` came."""

    def covers(self, job: Job) -> Covers:
        """What the sweep has probed. Blocks."""

    def seen(self, job: Job) -> AsyncIterator[list[tuple[Pair, str]]]:
        """Who answered the sweep, each with the state that it is in (`stages.campaign.cadence`), some at a time."""

    async def end(self, job: Job) -> None:
        """The sweep is over: what was kept to go on with it is not needed."""
