from __future__ import annotations

from stages.scanner.counting import Counts
from stages.scanner.rows import rows
from tests.servers.answers import array

ANSWERS = array(
    {"port": 80}, {"port": 80, "repeat": 1}, {"port": 443, "cooldown": 1}, {"port": 443, "cooldown": 1, "repeat": 1},
    {"kind": 2}, {"kind": 2, "repeat": 1}, {"kind": 3, "icmp_type": 3},
)  # fmt: skip


def test_as_zmap_counts() -> None:
    for given in (ANSWERS, rows(ANSWERS)):
        counts = Counts()
        counts.add(given)
        assert counts == Counts(
            success_total=4, success_unique=2, cooldown_total=2, cooldown_unique=1, failure_total=3, rst_total=2,
            rst_unique=1, icmp_total=1, ports=counts.ports,
        )  # fmt: skip
        assert counts.ports == {80: 1, 443: 1}


def test_batches_add_up_and_nothing_is_nothing() -> None:
    counts = Counts()
    counts.add(ANSWERS[:0])
    counts.add([])
    counts.add(ANSWERS[:3])
    counts.add(ANSWERS[3:])
    assert (counts.success_total, counts.failure_total) == (4, 3)


def test_what_the_application_says_is_counted_where_it_can() -> None:
    for given in (ANSWERS, rows(ANSWERS)):
        counts = Counts(app=lambda row: row.port == 443)
        counts.add(given)
        assert (counts.app_total, counts.app_unique) == (2, 1)
