"""The scanner's metrics: names, and how the engine's counters and the tally become them.

Classifications are a closed vocabulary; nothing here is labelled by an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from stages.core.metrics import Metrics
from stages.core.outcome import Outcome

if TYPE_CHECKING:
    from stages.scanner.summary import EngineCounters

#: The classifications of answers (`stages.scanner.answers.KIND_NAMES`; a test holds them equal).
CLASSIFICATIONS: Final = ("synack", "rst", "icmp", "echoreply", "udp", "other")


#: What becomes of a half-open connection where the scan goes on with what it opens: it is continued, there is no room
#: for it and it is reset, or it is left to the server because not even a RST could be queued.
CONTINUED: Final = ("taken", "refused", "not_reset")


class Continued(Protocol):
    """What `stages.scanner.continuing.Continuing` counts."""

    @property
    def taken(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def not_reset(self) -> int: ...
    @property
    def open(self) -> int: ...


class ScannerMetrics:
    """All metrics of the scanner in `metrics`, or in a set of their own where nobody serves them."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.all = metrics = metrics if metrics is not None else Metrics()
        counter, gauge = metrics.counter, metrics.gauge
        self.sent = counter("longline_scanner_probes_sent", "Probes that left this host")
        self.send_failures = counter(
            "longline_scanner_send_failures", "Sends that failed and were repeated or given up"
        )
        self.received = counter("longline_scanner_packets_received", "Packets (or ended connections) looked at")
        self.invalid = counter("longline_scanner_packets_invalid", "Packets that answer no probe of ours")
        self.drops = counter("longline_scanner_ring_drops", "Packets that the kernel had no room for")
        self.answers = counter("longline_scanner_answers", "Validated answers", "classification", CLASSIFICATIONS)
        self.repeats = counter("longline_scanner_repeats", "Answers of targets that had answered before")
        self.written = counter(
            "longline_scanner_results_written", "Results published or written, acknowledged, or dropped"
        )
        self.left_out = counter("longline_scanner_hits_dropped", "Hits left out as readers are behind (--on-lag drop)")
        self.retries = counter("longline_scanner_publish_retries", "Publishing that failed and was tried again")
        self.position = gauge("longline_scanner_position", "Targets probed")
        self.targets = gauge("longline_scanner_targets", "Targets of the scan")
        self.rate = gauge("longline_scanner_rate_pps", "Probes per second over the last second")
        self.limit = gauge("longline_scanner_rate_limit_pps", "Probes per second at most; 0: unlimited")
        self.waiting = gauge("longline_scanner_answers_waiting", "Answers received and not yet published")
        self.paused = gauge("longline_scanner_paused", "1 while sending waits for those who take the hits")
        self.running = gauge("longline_scanner_running", "1 while a scan runs")
        self.sending = gauge("longline_scanner_sending", "1 while a scan has probes to send")
        self.conversations = counter(
            "longline_scanner_conversations",
            "Conversations on connections that the scan opened, by outcome",
            "outcome",
            Outcome,
        )
        self.continued = counter(
            "longline_scanner_continued", "Connections that the scan went on with, or could not", "how", CONTINUED
        )
        self.open = gauge("longline_scanner_connections_open", "Connections that the scan goes on with now")
        self._before: tuple[int, ...] = (0,) * 5
        self._continued: tuple[int, ...] = (0,) * len(CONTINUED)

    def begin(self, targets: int, limit: float) -> None:
        """A scan begins."""
        self.targets.set(targets)
        self.limit.set(limit)
        self.running.set(1)
        self.sending.set(1)
        self._before = (0,) * 5
        self._continued = (0,) * len(CONTINUED)

    def end(self) -> None:
        self.running.set(0)
        self.sending.set(0)
        self.paused.set(0)
        self.rate.set(0)

    def engine(self, counters: EngineCounters, position: int) -> None:
        """A new look at the engine's counters, which only grow within a scan."""
        now = (counters.sent, counters.send_failures, counters.received, counters.invalid, counters.ring_drops)
        metrics = (self.sent, self.send_failures, self.received, self.invalid, self.drops)
        for metric, new, before in zip(metrics, now, self._before, strict=True):
            metric.add(new - before)
        self._before = now
        self.position.set(position)
        self.rate.set(counters.rate)

    def going_on(self, continued: Continued) -> None:
        """A new look at the connections that are continued."""
        now = (continued.taken, continued.refused, continued.not_reset)
        for how, new, before in zip(CONTINUED, now, self._continued, strict=True):
            self.continued.add(new - before, how)
        self._continued = now
        self.open.set(continued.open)

    def said(self, outcomes: Mapping[Outcome, int]) -> None:
        """A batch of conversations that have ended."""
        for outcome, number in outcomes.items():
            self.conversations.add(number, outcome)

    def answered(self, kinds: Mapping[str, int], repeats: int) -> None:
        """Validated answers, by classification, and how many were repeats."""
        for name, n in kinds.items():
            self.answers.add(n, name)
        self.repeats.add(repeats)
