from __future__ import annotations

import orjson

from stages.scanner.summary import Counters, Summary, Tally


def summary(**fields: object) -> Summary:
    usual = {
        "scan": "s", "engine": "packet", "targets": 256, "position": 256, "complete": True, "reason": "complete",
        "started": 1_000_000, "ended": 3_500_000, "counters": Counters(sent=200),
        "tally": Tally(success=50),
    }  # fmt: skip
    return Summary(**{**usual, **fields})  # type: ignore[arg-type]


def test_counters_add_up_and_the_rate_is_the_newer_one() -> None:
    both = Counters(1, 2, 3, 4, 5, 6, 7, 8.0).plus(Counters(10, 20, 30, 40, 50, 60, 70, 80.0))
    assert both == Counters(11, 22, 33, 44, 55, 66, 77, 80.0)


def test_figures() -> None:
    assert summary().seconds == 2.5
    assert summary().hit_rate == 0.25
    assert summary(counters=Counters()).hit_rate == 0.0


def test_the_record_is_flat_and_json() -> None:
    record = summary().record()
    assert orjson.loads(orjson.dumps(record)) == record
    assert record["success"] == 50
    assert record["sent"] == 200
    assert record["complete"] is True


def test_one_line() -> None:
    assert summary().text() == "scan s: 50 open of 200 probes (25.00%) in 2.5 s, 0 results written"
    text = summary(complete=False, reason="stopped", position=9, counters=Counters(sent=200, ring_drops=3)).text()
    assert text.endswith("3 packets dropped by this host, stopped at 9 of 256")
    assert (
        summary(complete=False, reason="max-runtime", position=9).text().endswith(", ended (max-runtime) at 9 of 256")
    )


def test_what_was_not_sent_is_said() -> None:
    counters = Counters(sent=200, not_sent=7)
    assert "7 probes that could not be sent" in summary(counters=counters).text()
    assert counters.plus(Counters(not_sent=2)).not_sent == 9
