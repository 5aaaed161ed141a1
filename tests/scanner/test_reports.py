from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, cast

import pytest

from stages.core.errors import HostError, UsageError
from stages.scanner.engines import Engine
from stages.scanner.reports import FAILED, Reports
from stages.scanner.summary import Counters, Tally
from stages.scanner.zmap_settings import ZmapSettings
from tests.servers.preparing import prepared


class Sending:
    """What of an engine is looked at."""

    name, rate, sending = "packet", 1000.0, True

    def describe(self) -> dict[str, object]:
        return {"engine": "packet", "interface": "eth9", "source_ip": "192.0.2.1"}


def reports(tmp_path: Path, **zmap: Any) -> Reports:
    fields = {"metadata_file": str(tmp_path / "meta"), "status_updates_file": str(tmp_path / "status"), **zmap}
    return Reports(prepared("10.0.0.0/28", output_file="x"), ZmapSettings(**fields))


def test_a_whole_scan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("meta", "status"):
        (tmp_path / name).write_text("precious")
    one, engine = reports(tmp_path, summary=True), cast(Engine, Sending())
    assert {(tmp_path / name).read_text() for name in ("meta", "status")} == {"precious"}
    one.begin(one.told.spec, engine)
    begun = json.loads((tmp_path / "meta").read_text())
    assert (begun["complete"], begun["longline"]["reason"], begun["iface"]) == (False, "running", "eth9")
    assert begun["first_scanned"].startswith("10.0.0.")
    for second in range(4):
        engine.sending = second < 2  # type: ignore[misc]
        counters = Counters(sent=4 * second, received=second)
        one.look(100.0 + second, engine, counters, Tally(success=second), 4 * second)
    rows = list(csv.DictReader((tmp_path / "status").read_text().splitlines()))
    assert [row["sent-total"] for row in rows] == ["4", "8", "12"]
    assert [row["active-send-threads"] for row in rows] == ["1", "0", "0"]
    one.end(Counters(sent=16), Tally(success=3, written=3), 16, "complete")
    one.close()
    ended = json.loads((tmp_path / "meta").read_text())
    assert (ended["complete"], ended["packets_sent"], ended["output_results"]) == (True, 16, 3)
    assert all(ended[key] for key in ("send_start_time", "send_end_time", "recv_start_time", "recv_end_time"))
    printed = capsys.readouterr()
    assert "exc\tsent\t16\n" in printed.out  # the results are in a file: standard output is free
    assert printed.err == ""


def test_a_summary_does_not_mix_with_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = Reports(prepared("10.0.0.0/28"), ZmapSettings(summary=True))
    one.end(Counters(), Tally(), 0, "stopped")
    one.close()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "exc\tend\tstopped\n" in printed.err


def test_a_hit_rate_that_stays_too_low_ends_it(tmp_path: Path) -> None:
    one, engine = reports(tmp_path, min_hitrate=10.0), cast(Engine, Sending())
    one.begin(one.told.spec, engine)
    for second in range(30):  # 20% is enough, however long
        one.look(float(second), engine, Counters(sent=100 * (second + 1)), Tally(success=20 * (second + 1)), 5)
    for second in range(30, 34):
        one.look(float(second), engine, Counters(sent=10_000), Tally(success=1), 5)
    one.look(34.0, engine, Counters(sent=10_000), Tally(success=5_000), 5)  # it has come back
    for second in range(40, 45):
        one.look(float(second), engine, Counters(sent=10_000), Tally(success=1), 5)
    with pytest.raises(HostError, match=r"the hit rate is 0\.0100%, and stays below 10% \(--min-hitrate\)"):
        one.look(45.0, engine, Counters(sent=10_000), Tally(success=1), 5)
    one.end(Counters(), Tally(), 5, FAILED)
    assert json.loads((tmp_path / "meta").read_text())["longline"]["reason"] == "min-hitrate"
    one.close()


def test_the_warm_up_is_not_judged(tmp_path: Path) -> None:
    one, engine = reports(tmp_path, min_hitrate=10.0), cast(Engine, Sending())
    one.begin(one.told.spec, engine)
    for tenth in range(99):
        one.look(tenth / 10, engine, Counters(sent=1000), Tally(), 5)
    engine.sending = False  # type: ignore[misc]
    one.look(60.0, engine, Counters(sent=1000), Tally(), 5)  # nothing is sent any more: answers come late
    one.close()


def test_a_file_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-m/--metadata-file"):
        reports(tmp_path, metadata_file=str(tmp_path / "none" / "meta"))


def test_nobody_counts_for_nobody() -> None:
    assert Reports(prepared("10.0.0.0/28"), ZmapSettings()).counts is None


def test_modules_whose_answers_say_yes_or_no() -> None:
    one = Reports(prepared("10.0.0.0/28", probe_module="dns", target_ports="53"), ZmapSettings(summary=True))
    assert one.counts is not None
    assert one.counts.app is not None
    assert Reports(prepared("10.0.0.0/28"), ZmapSettings()).told.counts.app is None
