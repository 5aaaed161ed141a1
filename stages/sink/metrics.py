"""What the sink counts: `longline_sink_*`. Labels come from closed vocabularies."""

from __future__ import annotations

from typing import Final

from stages.core.metrics import SIZES, Metrics
from stages.sink.store import Batch, Written

COLLECTIONS: Final = ("observations", "services", "certificates", "scans")

#: Why a bulk write failed: the store is out of reach (tried again), this host is at its end, our own mistake.
FAILURES: Final = ("unavailable", "host", "bug")


class SinkMetrics:
    """Counted a batch at a time; of a `Metrics` of their own if none is given."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.all = m = Metrics() if metrics is None else metrics
        self.documents = m.counter(
            "longline_sink_documents",
            "Documents written: observations inserted, upserts of the others",
            "collection",
            COLLECTIONS,
        )
        self.repeated = m.counter("longline_sink_records_repeated", "Records whose id was stored already")
        self.rejected = m.counter("longline_sink_records_rejected", "Records that the store refuses for good")
        self.failures = m.counter("longline_sink_write_failures", "Bulk writes that failed", "failure", FAILURES)
        self.seconds = m.histogram("longline_sink_write_seconds", "Time of one bulk write")
        self.records = m.histogram("longline_sink_write_records", "Records in one bulk write", SIZES)
        self.parsed = m.counter("longline_sink_certificates_parsed", "Certificates read, not being known")
        self.reachable = m.gauge("longline_sink_store_reachable", "1 while the last write went well")
        self.written_at = m.gauge("longline_sink_last_written_timestamp_seconds", "When the last write went well")

        self.heartbeat = m.gauge(
            "longline_sink_heartbeat_age_seconds", "Age of the last record of a scan's progress, when it was stored"
        )

    def heard(self, batch: Batch, now: float) -> None:
        """A batch was stored at `now`: what scanners said of their scans in it, each some seconds while they run, tells
        how long the way through log and sink takes."""
        spoken = [ts for scan in batch.scans for ts, _, _ in scan.events.values()]
        if spoken:
            self.heartbeat.set(max(0.0, now - max(spoken) / 1e6))

    def wrote(self, written: Written, records: int, rejected: int, seconds: float, now: float) -> None:
        """One bulk write of `records` records went well, at `now` (seconds since the epoch), in `seconds`."""
        counts = (written.stored, written.services, written.certificates, written.scans)
        for collection, n in zip(COLLECTIONS, counts, strict=True):
            self.documents.add(n, collection)
        self.repeated.add(written.repeated)
        self.rejected.add(rejected)
        self.seconds.observe(seconds)
        self.records.observe(records)
        self.written_at.set(now)
