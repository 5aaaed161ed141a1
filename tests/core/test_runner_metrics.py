from __future__ import annotations

from stages.core.metrics import Counter, Metrics
from stages.core.outcome import DeadReason, Outcome
from stages.core.runner_metrics import RunnerMetrics


def test_names_are_of_one_make_and_every_series_is_there() -> None:
    metrics = Metrics()
    runner = RunnerMetrics("tlsgrab", metrics)
    assert runner.all is metrics
    assert all(metric.name.startswith("longline_tlsgrab_") for metric in metrics)
    value = metrics.registry.get_sample_value
    for outcome in Outcome:
        assert value("longline_tlsgrab_records_done_total", {"outcome": outcome.value}) == 0
    for reason in DeadReason:
        assert value("longline_tlsgrab_dead_letters_total", {"reason": reason.value}) == 0


def test_two_stages_in_one_process() -> None:
    metrics = Metrics()
    one, two = RunnerMetrics("bannergrab", metrics), RunnerMetrics("sink", metrics)
    one.taken.add(5)
    assert (one.taken.total, two.taken.total) == (5, 0)


def test_enums_and_their_words_are_the_same_label() -> None:
    done = RunnerMetrics("x").done
    assert isinstance(done, Counter)
    done.add(1, Outcome.OK)
    done.add(1, "ok")
    assert done.value(Outcome.OK) == 2
