"""The coordinator's metrics. An agent's alias is the one label that is open; its values are the enrolled agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stages.core.metrics import Metrics
from stages.fleet.ledger import Ledger
from stages.fleet.things import Agent

#: Agents that have series of their own, at most; the rest counts in the sums only.
MAX_SERIES: Final = 1_000

#: dnmap's words.
STATUSES: Final = ("online", "executing", "storing", "offline")

#: Answers that refuse.
REFUSALS: Final = ("400", "401", "403", "404", "409", "413", "422", "426", "503")

#: What may be wrong with what came by a log.
FLAWS: Final = ("malformed", "forged", "replayed", "skewed")


class FleetMetrics:
    """Made once a process."""

    def __init__(self, metrics: Metrics) -> None:
        p = "longline_fleet"
        m = self._metrics = metrics
        self.refused = m.counter(f"{p}_requests_refused", "Requests refused, by status", "status", REFUSALS)
        self.flawed = m.counter(f"{p}_envelopes_refused", "Requests by a log that were not looked at", "why", FLAWS)
        self.results = m.counter(f"{p}_results", "Results taken from agents and written to the log")
        self._agents = m.gauges(f"{p}_agents", "Agents by what they do", "status", self._by_status)
        self._parts = m.gauge(f"{p}_parts_waiting", "Parts of scans that nobody does now", lambda: self._of(_waiting))
        self._leases = m.gauge(f"{p}_leases", "Slices that agents hold", lambda: self._of(_leases))
        self._scans = m.gauge(f"{p}_scans", "Scans under way", lambda: self._of(_under_way))
        self._wanted = m.gauge(f"{p}_positions", "Targets of the scans under way", lambda: self._of(_size))
        self._done = m.gauge(f"{p}_positions_done", "Of these, those done", lambda: self._of(_positions))
        self._series("seen_timestamp_seconds", "When the agent was last heard", lambda agent: agent.last_seen)
        self._series("probes_per_second", "What the agent sends now", lambda agent: agent.rate)
        self._series("slices_done", "Slices that the agent has done", lambda agent: agent.slices)
        self._series("probes_sent", "Probes that the agent has sent", lambda agent: agent.sent)
        self._series("hits", "Results that came from the agent", lambda agent: agent.hits)
        self._series("pending_bytes", "Results that wait at the agent", lambda agent: agent.pending)
        self._series("set_aside", "1 while the agent gets no work", lambda agent: float(agent.aside > self._clock()))
        self._ledger: Ledger | None = None
        self._clock: Callable[[], float] = lambda: 0.0

    def watch(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        """Tell of this ledger from now on."""
        self._ledger, self._clock = ledger, clock

    def _series(self, name: str, help: str, value: Callable[[Agent], float]) -> None:
        def read() -> dict[str, float]:
            agents = [] if self._ledger is None else list(self._ledger.agents.values())[:MAX_SERIES]
            return {agent.alias: float(value(agent)) for agent in agents}

        self._metrics.gauges(f"longline_fleet_agent_{name}", help, "agent", read)

    def _of(self, number: Callable[[Ledger], float]) -> float:
        return 0.0 if self._ledger is None else float(number(self._ledger))

    def _by_status(self) -> dict[str, float]:
        counts = dict.fromkeys(STATUSES, 0.0)
        if self._ledger is not None:
            for agent in self._ledger.agents.values():
                counts[self._ledger.status(agent, self._clock())] += 1
        return counts


def _under_way(ledger: Ledger) -> float:
    return sum(not job.ended for job in ledger.jobs.values())


def _size(ledger: Ledger) -> float:
    return sum(job.work.size for job in ledger.jobs.values() if not job.ended)


def _positions(ledger: Ledger) -> float:
    return sum(ledger.reached(scan) for scan, job in ledger.jobs.items() if not job.ended)


def _leases(ledger: Ledger) -> float:
    return len(ledger.leases)


def _waiting(ledger: Ledger) -> float:
    return sum(not part.check and not ledger.jobs[part.scan].ended for part in ledger.parts.values())
