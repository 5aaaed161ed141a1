"""What bannergrab counts beside the runner's numbers: what the conversations were like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.core.metrics import Metrics
from stages.core.outcome import Outcome, Phase

if TYPE_CHECKING:
    from stages.core.records import Banner

_PREFIX = "longline_bannergrab"


class BannergrabMetrics:
    """The numbers of one bannergrab; of a `Metrics` of their own if none is given."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.all = m = Metrics() if metrics is None else metrics
        self.conversations = m.counter(
            f"{_PREFIX}_conversations",
            "Conversations that ended, by outcome; also those tried again",
            "outcome",
            Outcome,
        )
        self.phases = m.counter(f"{_PREFIX}_failures", "Conversations that failed, by where it was", "phase", Phase)
        self.received = m.counter(f"{_PREFIX}_received_bytes", "Bytes of banners")
        self.sent = m.counter(f"{_PREFIX}_sent_bytes", "Bytes of payloads")
        self.truncated = m.counter(f"{_PREFIX}_truncated", "Banners cut at --max-bytes")
        self.icmp = m.counter(f"{_PREFIX}_icmp_errors", "Conversations that met an ICMP error")
        self.connect_seconds = m.histogram(f"{_PREFIX}_connect_seconds", "Time to connect")
        self.seconds = m.histogram(f"{_PREFIX}_conversation_seconds", "Time of a whole conversation")
        self.open = m.gauge(f"{_PREFIX}_connections_open", "Connections open now")

    def plain(self, rows: Any) -> None:
        """Count conversations of the compiled engine, an array of ENDED, all of which ended `ok` without an error."""
        self.conversations.cells[Outcome.OK] += len(rows)
        self.received.cells[""] += int(rows["data_size"].sum())
        self.sent.cells[""] += int(rows["sent"].sum())
        self.truncated.cells[""] += int(rows["truncated"].sum())
        self.connect_seconds.observe_all(rows["connected"].tolist())
        self.seconds.observe_all(rows["ended"].tolist())

    def ended(self, banner: Banner) -> None:
        """Count one conversation."""
        outcome = banner.outcome
        self.conversations.cells[outcome] += 1
        if outcome is not Outcome.OK:
            self.phases.cells[banner.phase] += 1
        self.received.cells[""] += len(banner.data)
        self.sent.cells[""] += banner.sent
        if banner.truncated:
            self.truncated.cells[""] += 1
        if banner.icmp is not None:
            self.icmp.cells[""] += 1
        if banner.connect is not None:
            self.connect_seconds.observe(banner.connect)
        if banner.ended is not None:
            self.seconds.observe(banner.ended)
