from __future__ import annotations

from stages.core.metrics import Metrics
from stages.scanner.answers import KIND_NAMES
from stages.scanner.metrics import CLASSIFICATIONS, ScannerMetrics
from stages.scanner.summary import Counters


def test_classifications_are_the_answers_vocabulary() -> None:
    assert set(CLASSIFICATIONS) == set(KIND_NAMES.values())


def test_counters_grow_by_what_is_new() -> None:
    metrics = ScannerMetrics()
    metrics.begin(1000, 10_000)
    metrics.engine(Counters(sent=5, received=3), 5)
    metrics.engine(Counters(sent=9, received=4, ring_drops=2, rate=4.0), 9)
    assert (metrics.sent.value(), metrics.received.value(), metrics.drops.value()) == (9, 4, 2)
    assert (metrics.position.value, metrics.rate.value, metrics.running.value) == (9, 4.0, 1)
    metrics.end()
    metrics.begin(10, 0)  # the next scan counts from 0, the process goes on
    metrics.engine(Counters(sent=1), 1)
    assert metrics.sent.value() == 10


def test_answers_by_classification() -> None:
    metrics = ScannerMetrics()
    metrics.answered({"synack": 2, "rst": 1}, 1)
    assert (metrics.answers.value("synack"), metrics.answers.value("rst"), metrics.repeats.value()) == (2, 1, 1)


def test_what_prometheus_sees_is_there_from_the_start() -> None:
    metrics = Metrics()
    ScannerMetrics(metrics).answered({"synack": 1}, 0)
    _, body = metrics.render()
    assert b'longline_scanner_answers_total{classification="synack"} 1.0' in body
    assert b'longline_scanner_answers_total{classification="icmp"} 0.0' in body
    assert b"longline_scanner_probes_sent_total 0.0" in body
