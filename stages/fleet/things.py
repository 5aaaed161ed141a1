"""What a ledger keeps: scans under way, parts that nobody does, leases, agents. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from stages.fleet.coverage import Coverage, Done, coverage
from stages.fleet.work import Work


@dataclass(slots=True)
class Part:
    """Positions [first, last) that nobody does."""

    id: int
    scan: str
    first: int
    last: int
    only: tuple[str, ...] | None = None
    refused: list[str] = field(default_factory=list)  #: agents that would not
    check: str = ""  #: a sample: who has done it already
    expected: list[int] = field(default_factory=list)  #: and at which positions it found something
    apart: tuple[str, ...] = ()  #: networks that it left out, of which answers do not count


@dataclass(slots=True)
class Held:
    """A lease: positions [first, last), done up to `at`."""

    token: int
    scan: str
    agent: str
    first: int
    last: int
    at: int
    only: tuple[str, ...] | None
    refused: list[str]
    rate: float
    granted: float  #: seconds since the epoch
    deadline: float
    begun: bool = False
    skipped: tuple[str, ...] = ()
    sent: int = 0
    speed: float = 0.0  #: probes/s, as it said last
    hits: int = 0
    check: str = ""
    expected: list[int] = field(default_factory=list)
    apart: tuple[str, ...] = ()
    found: list[int] = field(default_factory=list)  #: positions of results


@dataclass(slots=True)
class Agent:
    """What is known of an agent, also when it is gone."""

    alias: str
    first_seen: float
    last_seen: float
    last_data: float = 0.0
    version: str = ""
    engine: str = ""
    privileged: bool = False
    probes: tuple[str, ...] = ()
    grabs: tuple[str, ...] = ()
    max_rate: float = 1.0
    started: float = 0.0  #: its last hello
    process: str = ""  #: which said it
    skew: float = 0.0
    slices: int = 0
    sent: int = 0
    hits: int = 0
    rate: float = 0.0
    pending: int = 0
    losses: int = 0  #: times one after the other that it was silent and lost what it held
    lost: float = 0.0  #: when it last did
    checks: int = 0  #: samples of its slices that another agent has looked at
    aside: float = 0.0  #: gets nothing before this moment
    why: str = ""


@dataclass(slots=True)
class Job:
    """A scan under way."""

    work: Work
    submitted: float
    ended: float = 0.0
    stopped: str = ""  #: why, if somebody stopped it
    waits: str = ""  #: why nothing of it is given away for now
    told: list[str] = field(default_factory=list)  #: what of it the log has heard: start, end
    done: list[Done] = field(default_factory=list)
    sent: int = 0
    hits: int = 0
    agents: dict[str, int] = field(default_factory=dict)  #: who was at it, and how many positions each has shown

    @property
    def positions(self) -> int:
        """Done so far of the whole (without what is wanted again of skipped networks)."""
        return sum(part.last - part.first for part in self.done if part.only is None)

    def coverage(self) -> Coverage:
        return coverage(self.work.size, self.done)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be kept: `body` None removes it."""

    table: Literal["jobs", "parts", "leases", "agents", "done", "trace", "meta"]
    key: str
    body: dict[str, Any] | None
