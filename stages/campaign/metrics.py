"""A conductor's metrics. A campaign's name is the one label that is open; its values are those that it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from stages.core.metrics import Metrics

#: How a turn ends.
ENDS: Final = ("complete", "hours", "paused", "refresh", "turn", "stopped", "failed", "given up")


@dataclass(slots=True)
class Standing:
    """Where one campaign stands."""

    running: int = 0
    paused: bool = False
    late: float = 0.0  #: seconds that the latest of what is due waits by now
    windows: int = 0  #: whole windows that the latest sweep is late
    next: float = 0.0  #: when something is due, seconds since the epoch
    known: int = 0
    gone: int = 0
    healthy: bool | None = None
    counters: dict[str, Any] = field(default_factory=dict)  #: of the last assessment of a full sweep


class CampaignMetrics:
    """Made once a process."""

    def __init__(self, metrics: Metrics) -> None:
        self.campaigns: dict[str, Standing] = {}
        p = "longline_campaign"
        self._metrics = metrics
        self.full = metrics.counter(f"{p}_full_turns", "Turns of full sweeps, by how they ended", "end", ENDS)
        self.known = metrics.counter(f"{p}_known_turns", "Turns of refreshes, by how they ended", "end", ENDS)
        self.missed = metrics.counter(f"{p}_windows_missed", "Due times that nothing was done for")
        self._of("running", "Sweeps that run now", lambda standing: standing.running)
        self._of("paused", "1 while it is paused", lambda standing: float(standing.paused))
        self._of("late_seconds", "How long what is due has waited", lambda standing: standing.late)
        self._of("late_windows", "Whole windows that the latest sweep is late", lambda standing: standing.windows)
        self._of("next_timestamp_seconds", "When something is due next", lambda standing: standing.next)
        self._of("known_services", "Services that answered when they were last looked at", lambda s: s.known)
        self._of("gone_services", "Services that did not, and are still looked for", lambda s: s.gone)
        self._of("healthy", "1 if the controls answered the last sweep", lambda s: s.healthy)
        for key, name, help in (
            ("loss", "loss_ratio", "Open targets that the last full sweep has missed, estimated, 0 to 1"),
            ("loss_low", "loss_low_ratio", "Lower end of the interval that holds the truth 19 times of 20"),
            ("loss_high", "loss_high_ratio", "Upper end of it"),
            ("hit_rate", "hit_ratio", "Open targets a probe, of the last full sweep"),
            ("icmp_rate", "icmp_ratio", "ICMP errors a probe, of the last full sweep"),
        ):
            self._of(name, help, partial(_counter, key=key))

    def _of(self, name: str, help: str, value: Callable[[Standing], float | None]) -> None:
        def read() -> dict[str, float]:
            found = {campaign: value(standing) for campaign, standing in self.campaigns.items()}
            return {campaign: float(number) for campaign, number in found.items() if number is not None}

        self._metrics.gauges(f"longline_campaign_{name}", help, "campaign", read)


def _counter(standing: Standing, *, key: str) -> float | None:
    value: float | None = standing.counters.get(key)
    return value
