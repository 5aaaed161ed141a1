from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stages import __version__
from stages.core.errors import HostError
from stages.core.metrics import SECONDS, SIZES, Histogram, Metrics


def test_counters_are_there_with_zero_from_the_start() -> None:
    metrics = Metrics()
    counter = metrics.counter("longline_x_done", "Done", "outcome", ["ok", "refused"])
    value = metrics.registry.get_sample_value
    assert value("longline_x_done_total", {"outcome": "refused"}) == 0
    counter.add(3, "ok")
    counter.add(value="ok")
    assert (counter.value("ok"), counter.total) == (4, 4)
    assert value("longline_x_done_total", {"outcome": "ok"}) == 4


def test_a_label_outside_the_vocabulary_is_an_error() -> None:
    counter = Metrics().counter("longline_x_done", "Done", "outcome", ["ok"])
    with pytest.raises(KeyError):
        counter.add(1, "10.0.0.1")
    with pytest.raises(KeyError):
        counter.add(1)


def test_a_counter_without_a_label() -> None:
    metrics = Metrics()
    metrics.counter("longline_x_sent", "Sent").add(2)
    assert metrics.registry.get_sample_value("longline_x_sent_total") == 2


def test_gauges_are_set_or_asked_for() -> None:
    metrics = Metrics()
    metrics.gauge("longline_x_now", "Now", lambda: 7.0)
    gauge = metrics.gauge("longline_x_then", "Then")
    gauge.set(5)
    value = metrics.registry.get_sample_value
    assert value("longline_x_now") == 7
    assert value("longline_x_then") == gauge.value == 5


def test_histogram_bounds_are_inclusive_and_cumulative() -> None:
    histogram = Histogram("h", "H", (1.0, 2.0))
    for number in (0.5, 1.0, 1.5, 2.0, 99.0):
        histogram.observe(number)
    assert list(histogram.buckets()) == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
    assert (histogram.count, histogram.sum) == (5, 104.0)


@pytest.mark.parametrize("values", [[], [0.5], [99.0, 1.0, 2.0, 0.5, 1.5, 1.0]])
def test_many_values_count_as_each_would(values: list[float]) -> None:
    together, alone = Histogram("h", "H", (1.0, 2.0)), Histogram("h", "H", (1.0, 2.0))
    together.observe_all(values)
    for value in values:
        alone.observe(value)
    assert (together.counts, together.sum) == (alone.counts, alone.sum)


def test_histograms_are_exposed() -> None:
    metrics = Metrics()
    metrics.histogram("longline_x_seconds", "Time").observe(0.3)
    value = metrics.registry.get_sample_value
    assert value("longline_x_seconds_bucket", {"le": "0.25"}) == 0
    assert value("longline_x_seconds_bucket", {"le": "0.5"}) == 1
    assert value("longline_x_seconds_bucket", {"le": "+Inf"}) == 1
    assert value("longline_x_seconds_sum") == 0.3
    assert value("longline_x_seconds_count") == 1


@pytest.mark.parametrize("bounds", [SECONDS, SIZES])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_a_name_is_taken_once() -> None:
    metrics = Metrics()
    metrics.gauge("longline_x", "X")
    with pytest.raises(ValueError, match="longline_x exists"):
        metrics.counter("longline_x", "X")
    assert [metric.name for metric in metrics] == ["longline_x"]
    assert metrics["longline_x"].help == "X"


def test_the_text_parses_and_names_the_version() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    metrics = Metrics()
    metrics.counter("longline_x_done", "Done", "outcome", ["ok"])
    kind, body = metrics.render()
    assert kind.startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert families["longline_build_info"].samples[0].labels["version"] == __version__
    assert "process_resident_memory_bytes" in families
    assert families["longline_x_done"].type == "counter"


def test_counting_imports_no_client() -> None:
    code = (
        "import sys; from stages.core.metrics import Metrics; m = Metrics(); m.counter('a', 'A').add();"
        "assert 'prometheus_client' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_last_metrics_go_into_a_file_whole_or_not_at_all(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.counter("longline_x_done", "Done").add(7)
    file = tmp_path / "longline.prom"
    metrics.write(str(file))
    assert "longline_x_done_total 7.0\n" in file.read_text()
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(HostError, match="nowhere"):
        metrics.write(str(tmp_path / "nowhere" / "longline.prom"))
