"""What the sink counts, by the names that dashboards use."""

from __future__ import annotations

import pytest

from stages.core.metrics import Metrics
from stages.sink.documents import ScanUpdate
from stages.sink.metrics import SinkMetrics
from stages.sink.store import Batch, Written


def test_a_write_is_counted() -> None:
    everything = Metrics()
    metrics = SinkMetrics(everything)
    metrics.wrote(Written(stored=5, repeated=2, services=4, certificates=3, scans=1), 8, 1, 0.25, 1000.0)
    get = everything.registry.get_sample_value
    for collection, n in {"observations": 5, "services": 4, "certificates": 3, "scans": 1}.items():
        assert get("longline_sink_documents_total", {"collection": collection}) == n
    assert get("longline_sink_records_repeated_total") == 2
    assert get("longline_sink_records_rejected_total") == 1
    assert get("longline_sink_write_seconds_sum") == 0.25
    assert get("longline_sink_write_records_sum") == 8
    assert get("longline_sink_last_written_timestamp_seconds") == 1000.0


def test_every_series_is_there_from_the_start() -> None:
    get = SinkMetrics().all.registry.get_sample_value
    for failure in ("unavailable", "host", "bug"):
        assert get("longline_sink_write_failures_total", {"failure": failure}) == 0
    assert get("longline_sink_store_reachable") == 0
    assert get("longline_sink_certificates_parsed_total") == 0


def test_labels_are_closed() -> None:
    with pytest.raises(KeyError):
        SinkMetrics().failures.add(1, "10.0.0.1")


def test_the_age_of_what_a_scanner_said_of_its_scan() -> None:
    metrics = SinkMetrics()
    metrics.heard(Batch(), 50.0)
    assert metrics.heartbeat.value == 0
    scans = [ScanUpdate("a", 0, 0, {"start": (40_000_000, "1", {}), "progress": (44_500_000, "2", {})})]
    metrics.heard(Batch(scans=scans), 50.0)
    assert metrics.heartbeat.value == 5.5
    metrics.heard(Batch(scans=[ScanUpdate("a", 0, 0, {})]), 90.0)  # an observation of the scan says nothing of now
    assert metrics.heartbeat.value == 5.5
