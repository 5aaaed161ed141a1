from __future__ import annotations

from stages.sink.erasure import TABLES, Erasure


def test_times_are_shown_as_text() -> None:
    erasure = Erasure("192.0.2.0/24", 1_795_245_000_000_001, "asked to", 5, 2, 1)
    assert erasure.shown() == {
        "network": "192.0.2.0/24", "at": "2026-11-21T07:10:00.000001Z", "reason": "asked to", "observations": 5,
        "services": 2, "sightings": 1, "states": 0, "events": 0, "ended": None,
    }  # fmt: skip
    erasure.ended = 1_795_245_001_000_000
    assert erasure.shown()["ended"] == "2026-11-21T07:10:01.000000Z"


def test_each_table_has_its_count() -> None:
    assert all(getattr(Erasure("", 0), table) == 0 for table in TABLES)
