from __future__ import annotations

from stages.core.metrics import Metrics
from stages.fleet.ledger import Ledger
from stages.fleet.messages import Slice
from stages.fleet.metrics import MAX_SERIES, STATUSES, FleetMetrics
from tests.fleet.material import DIGEST, NOW, can, shown, work


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    value: float | None = metrics.registry.get_sample_value(f"longline_fleet_{name}", labels)
    return value


def test_before_there_is_a_ledger_all_sums_are_there() -> None:
    metrics = Metrics()
    FleetMetrics(metrics)
    assert [sample(metrics, "agents", status=status) for status in STATUSES] == [0, 0, 0, 0]
    assert sample(metrics, "scans") == sample(metrics, "leases") == sample(metrics, "parts_waiting") == 0


def test_what_the_ledger_holds() -> None:
    metrics, books = Metrics(), Ledger(timeout=60.0, slice_seconds=20.0)
    FleetMetrics(metrics).watch(books, lambda: NOW)
    books.submit(work(), NOW)
    books.hello("alice", can(), NOW, (), NOW)
    given = books.lease("alice", NOW)
    assert isinstance(given, Slice)
    books.begin("alice", given.token, DIGEST, (), NOW)
    books.progress("alice", given.token, 50, shown(given, 50), sent=48, rate=9.0, pending=7, finished=False, now=NOW)
    books.results("alice", given.token, [1, 2, 3], NOW)
    assert sample(metrics, "agents", status="executing") == 1
    assert (sample(metrics, "positions"), sample(metrics, "positions_done")) == (1_024, 50)
    assert (sample(metrics, "scans"), sample(metrics, "leases"), sample(metrics, "parts_waiting")) == (1, 1, 1)
    of_alice = {
        "seen_timestamp_seconds": NOW, "probes_per_second": 9, "slices_done": 0, "probes_sent": 48, "hits": 3,
        "pending_bytes": 7, "set_aside": 0,
    }  # fmt: skip
    assert {name: sample(metrics, f"agent_{name}", agent="alice") for name in of_alice} == of_alice


def test_the_open_label_is_bounded() -> None:
    metrics, books = Metrics(), Ledger(timeout=60.0)
    FleetMetrics(metrics).watch(books, lambda: NOW)
    for n in range(MAX_SERIES + 5):
        books.hello(f"agent{n}", can(), NOW, (), NOW)
    _, text = metrics.render()
    assert text.count(b"longline_fleet_agent_hits{") == MAX_SERIES
    assert sample(metrics, "agents", status="online") == MAX_SERIES + 5
