"""What a scan has done: the engine's counters while it runs, and the summary at its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol


class EngineCounters(Protocol):
    """What every engine counts (the packet engine's own dataclass has these names)."""

    @property
    def sent(self) -> int: ...
    @property
    def send_failures(self) -> int: ...
    @property
    def received(self) -> int: ...
    @property
    def validated(self) -> int: ...
    @property
    def invalid(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def ring_drops(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def not_sent(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Counters:
    """A snapshot. `received` counts packets or, for the connect engine, connections that ended."""

    sent: int = 0  #: probes that left
    send_failures: int = 0  #: calls that failed and were repeated
    received: int = 0
    validated: int = 0  #: answers to our probes
    invalid: int = 0
    duplicates: int = 0
    ring_drops: int = 0  #: packets that the kernel had no room for
    rate: float = 0.0  #: probes per second over about the last second
    not_sent: int = 0  #: probes to targets on the link that answered no ARP, or that this host would not send

    def plus(self, other: EngineCounters) -> Counters:
        """The sum of two; the rate is the newer one's."""
        return Counters(
            self.sent + other.sent,
            self.send_failures + other.send_failures,
            self.received + other.received,
            self.validated + other.validated,
            self.invalid + other.invalid,
            self.duplicates + other.duplicates,
            self.ring_drops + other.ring_drops,
            other.rate,
            self.not_sent + other.not_sent,
        )


@dataclass(slots=True)
class Tally:
    """What was made of the answers."""

    success: int = 0  #: open targets, each once
    repeats: int = 0
    failures: int = 0  #: RST, ICMP errors
    written: int = 0  #: results that were published or written, acknowledged
    banners: int = 0  #: records of conversations, where the scan goes on with what it opened


def added(before: Mapping[str, int], counters: Counters, tally: Tally) -> dict[str, int]:
    """The counters of a scan over all its runs, those before and this one."""
    now = {**asdict(counters), **asdict(tally)}
    del now["rate"]
    return {name: before.get(name, 0) + count for name, count in now.items()}


#: `reason` of a scan that a standing order has ended.
ORDERED: Final = "ordered"


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a scan."""

    scan: str
    engine: str
    targets: int  #: that the scan is about
    position: int  #: positions probed in all, over all runs of the scan
    complete: bool  #: all targets were probed, and their answers waited for
    reason: str  #: why it ended: complete | max-results | max-runtime | stopped | ordered
    started: int  #: microseconds since the epoch, this run
    ended: int
    counters: Counters
    tally: Tally
    left_out: int = 0  #: hits that were not published, as readers are behind (--on-lag drop)

    @property
    def seconds(self) -> float:
        return (self.ended - self.started) / 1e6

    @property
    def hit_rate(self) -> float:
        """Open targets per probe sent, 0 to 1."""
        return self.tally.success / self.counters.sent if self.counters.sent else 0.0

    def record(self) -> dict[str, Any]:
        """As it stands in the end record."""
        return {
            **asdict(self.counters),
            **asdict(self.tally),
            "written": self.tally.written - self.left_out,
            "hits_dropped": self.left_out,
            "targets": self.targets,
            "complete": self.complete,
            "reason": self.reason,
            "engine": self.engine,
            "seconds": round(self.seconds, 6),
        }

    def text(self) -> str:
        """One line for the log."""
        why = (
            self.reason
            if self.reason == "stopped"
            else "stopped by order"
            if self.reason == "ordered"
            else f"ended ({self.reason})"
        )
        left = "" if self.complete else f", {why} at {self.position} of {self.targets}"
        said = f", {self.tally.banners} banners" if self.tally.banners else ""
        drops = f", {self.counters.ring_drops} packets dropped by this host" if self.counters.ring_drops else ""
        silent = f", {self.counters.not_sent} probes that could not be sent" if self.counters.not_sent else ""
        left_out = f", {self.left_out} hits left out as those who take them are behind" if self.left_out else ""
        return (
            f"scan {self.scan}: {self.tally.success} open of {self.counters.sent} probes "
            f"({self.hit_rate:.2%}) in {self.seconds:.1f} s, {self.tally.written - self.left_out} results written"
            f"{left_out}{said}{drops}{silent}{left}"
        )
