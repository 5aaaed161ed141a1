"""What the stage loop counts, for every stage by the same names: `longline_<stage>_records_taken_total` and so on.

Every failure stands beside its attempts: taken = skipped + admitted away + done + dead + later + in hand.
"""

from __future__ import annotations

from typing import Final

from stages.core.metrics import Metrics
from stages.core.outcome import DeadReason, Outcome

#: Buckets of how long records lay in the log: a tenth of a second to a day.
AGES: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0)

#: What may be tried again.
RETRIES: Final = ("poll", "settle", "local")


class RunnerMetrics:
    """The numbers of one stage; of a `Metrics` of their own if none is given."""

    def __init__(self, stage: str, metrics: Metrics | None = None) -> None:
        self.all = m = Metrics() if metrics is None else metrics
        p = f"longline_{stage}"
        self.taken = m.counter(f"{p}_records_taken", "Records taken from the log")
        self.skipped = m.counter(f"{p}_records_skipped", "Records that are not this stage's, committed untouched")
        self.admitted = m.counter(f"{p}_records_answered", "Records answered at intake, without a conversation")
        self.done = m.counter(f"{p}_records_done", "Records finished, by outcome", "outcome", Outcome)
        self.dead = m.counter(f"{p}_dead_letters", "Records that cannot be processed, by reason", "reason", DeadReason)
        self.later = m.counter(f"{p}_records_later", "Records put off to the stage's later topic")
        self.published = m.counter(f"{p}_records_published", "Results acknowledged by the log")
        self.retries = m.counter(f"{p}_retries", "Tries after a failure that passes, by what failed", "what", RETRIES)
        self.late = m.counter(f"{p}_results_dropped", "Results that came after their partition was taken away")
        self.in_flight = m.gauge(f"{p}_in_flight", "Records being worked on")
        self.capacity = m.gauge(f"{p}_capacity", "Records that may be worked on at once; lower when this host is short")
        self.waiting = m.gauge(f"{p}_waiting", "Records waiting for politeness or capacity")
        self.unsettled = m.gauge(f"{p}_unsettled", "Results not yet acknowledged")
        self.span = m.gauge(f"{p}_uncommitted_offsets", "Offsets in the longest uncommitted span of a partition")
        self.behind = m.gauge(f"{p}_records_behind", "Offsets that the group has not committed, looked up now and then")
        self.age = m.histogram(
            f"{p}_record_age_seconds", "Time in the log (Kafka), of the first record of each read", AGES
        )
        self.dead_share = m.gauge(f"{p}_dead_share", "Dead among the last records, 0-1; above a half the stage stops")
        self.paused = m.gauge(f"{p}_paused", "1 while intake is paused")
        self.ready = m.gauge(f"{p}_ready", "1 while assigned and connected")
        self.settled_at = m.gauge(f"{p}_last_settled_timestamp_seconds", "When results were last acknowledged")
        self.settle_seconds = m.histogram(f"{p}_settle_seconds", "Time to publish and commit a group of results")
