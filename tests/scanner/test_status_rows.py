from __future__ import annotations

import csv
import io

from stages.scanner.status_rows import HEADER, Look, Rows
from tests.servers.preparing import NOW


def test_rows_fit_their_header() -> None:
    rows = Rows(Look(100.0))
    text = HEADER + rows.row(Look(101.0, 1000, 10, 20, 0, 0), us=NOW, part=0.25, left=9.4, threads=2)
    text += rows.row(Look(103.0, 3000, 40, 80, 4, 2), us=NOW + 2_000_000, part=0.5, left=None, threads=0)
    first, second = csv.DictReader(io.StringIO(text))
    assert None not in first
    assert None not in second  # no cell is left over
    assert len(first) == 21
    assert first["real-time"] == "2026-11-21 07:10:00"
    assert (first["time-elapsed"], first["time-remaining"], first["percent-complete"]) == ("1", "9", "25.000000")
    assert (second["time-elapsed"], second["time-remaining"], second["active-send-threads"]) == ("3", "", "0")
    assert (second["sent-total"], second["sent-last-one-sec"], second["sent-avg-per-sec"]) == ("3000", "1000", "1000")
    assert (second["hit-rate"], second["recv-success-total"], second["recv-total"]) == ("1.333333", "40", "80")
    assert (second["pcap-drop-total"], second["drop-last-one-sec"], second["drop-avg-per-sec"]) == ("4", "2", "1")
    assert (second["sendto-fail-total"], second["sendto-fail-last-one-sec"]) == ("2", "1")


def test_two_looks_at_one_moment() -> None:
    row = Rows(Look(1.0)).row(Look(1.0, 5), us=0, part=0.0, left=0.0, threads=1)
    assert row.startswith("1970-01-01 00:00:00,0,0,")
