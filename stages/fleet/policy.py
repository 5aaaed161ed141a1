"""What an agent lets itself be given. Its own word always wins over the work's. Pure.

A slice is refused as a whole for a probe, a grab or a port that the agent does not do, for a rate that it may not be
forced to, and outside of its hours. Networks that its lists forbid are left out of the slice and given back: another
agent may do them. Special-purpose ranges (the agent's own network, as a rule) are forbidden unless its own allowlist
names them, whatever the work says.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from stages.core.hours import Hours
from stages.core.netset import NetSet, range_texts
from stages.core.routing import Routing
from stages.fleet.messages import MAX_SKIPPED
from stages.fleet.work import Work

#: What a probe costs a target, in packets, is bounded by this unless the user says otherwise: one and two repeats.
DEFAULT_SYN_PER_TARGET = 3


@dataclass(frozen=True, slots=True)
class LocalPolicy:
    """One agent's."""

    max_rate: float  #: probes per second
    forbidden: NetSet = field(default_factory=NetSet)  #: whom it never probes
    probes: frozenset[str] = frozenset()  #: modules that it does
    ports: frozenset[int] | None = None  #: None: all
    syn_per_target: int = DEFAULT_SYN_PER_TARGET
    hours: Hours = field(default_factory=Hours)
    grabs: frozenset[str] = frozenset()  #: of `work.Grab`

    def refusal(self, work: Work, ports: Collection[int]) -> str:
        """Why it does not do this work; empty if it does."""
        if work.probe not in self.probes:
            return f"probe module {work.probe} is not done here"
        if self.ports is not None and (wrong := sorted(set(ports) - self.ports)):
            return f"port {wrong[0]} is not scanned from here"
        if unwanted := [grab for grab in work.grabs if grab not in self.grabs]:
            return f"{unwanted[0]} is not grabbed from here"
        syns = work.probes * (1 + work.retries)
        if syns > self.syn_per_target:
            return f"{syns} probes to one target, at most {self.syn_per_target} from here"
        connections = max((connections_of(work, port) for port in ports), default=0)
        if syns + connections > self.syn_per_target:
            both = f"{syns} probes and {connections} connections to one target"
            return f"{both}, at most {self.syn_per_target} from here"
        return ""

    def skipped(self, work: Work, only: tuple[str, ...] | None) -> tuple[str, ...]:
        """The networks of a slice that are left alone. Raises ValueError for more than can be said."""
        wanted = work.networks() if only is None else NetSet.parse(only, "only")
        gone = list(wanted.intersect(self.forbidden).ranges_v4())
        if len(gone) > MAX_SKIPPED:
            raise ValueError(f"{len(gone)} networks of it are forbidden here, more than can be said")
        return tuple(range_texts(gone))

    def masked(self, work: Work, only: tuple[str, ...] | None) -> NetSet:
        """Whom the scan of a slice leaves alone: what is forbidden, and what was not asked for."""
        if only is None:
            return self.forbidden
        return self.forbidden.union(work.networks().minus(NetSet.parse(only, "only")))

    def rate(self, asked: float) -> float:
        """Probes per second: as asked for, but never more than it gives."""
        return min(asked, self.max_rate)


def connections_of(work: Work, port: int) -> int:
    """That the grabs of a work open to one target on this port, at most."""
    count = 0
    if work.banner is not None and Routing.for_banners(work.banner.ports, shared=True).takes(port):
        count += 1
    if work.tls is not None and Routing.for_tls(work.tls.ports, shared=True).takes(port):
        count += work.tls.max_connections if work.tls.mode == "certificate" else 1
    return count
