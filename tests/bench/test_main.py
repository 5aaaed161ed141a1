"""`python -m tests.bench` itself, with benches that take no time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from tests.bench.__main__ import BENCHES, ROOT, main, run, table
from tests.bench.rows import measured, number

GOOD = """
from tests.bench.rows import measured
measured("speed", [3.0, 1.0, 2.0], "Mpps", bar=1.5)
measured("ratio", [0.9, 0.7], "", bar=0.75, at_most=True, judged=0.7)
measured("size", [123456.0], "bytes")
"""
MISSES = "import sys\nfrom tests.bench.rows import measured\nsys.exit(not measured('slow', [1.0], 's', bar=2.0))"


def test_rows_become_one_table_and_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    benches = {"good": (sys.executable, "-c", GOOD), "other": (sys.executable, "-c", "print('by hand')")}
    results = tmp_path / "below" / "bench.json"
    assert main(["--results", str(results)], benches) == 0
    printed = capfd.readouterr().out
    assert "--- good\nspeed: 1 / 2 / 3 Mpps (bar >= 1.5: holds)\n" in printed
    assert "| speed [Mpps] | >= 1.5 | 1 | 2 | 3 | `bench_good` |\n" in printed
    assert "| ratio | <= 0.75; judged by 0.7 | 0.7 | 0.8 | 0.9 | `bench_good` |\n" in printed
    assert "| size [bytes] |  | 123,456 | 123,456 | 123,456 | `bench_good` |\n" in printed
    assert "| by hand | | | | | `bench_other` |\n" in printed
    kept = json.loads(results.read_text())
    assert [b["name"] for b in kept["benches"]] == ["good", "other"]
    assert kept["benches"][1]["lines"] == ["by hand"]
    assert set(kept["machine"]) == {"cpus", "machine", "kernel", "python"}


def test_a_bar_that_is_missed_and_a_bench_that_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    benches = {"misses": (sys.executable, "-c", MISSES), "fails": (sys.executable, "-c", "raise SystemExit(3)")}
    assert main(["--results", str(tmp_path / "r.json")], benches) == 1
    printed = capfd.readouterr().out
    assert "| slow [s] | >= 2 **missed** | 1 | 1 | 1 | `bench_misses` |\n" in printed
    assert "| fails: exit code 3 | | | | | `bench_fails` |\n" in printed


def test_a_bench_has_a_bounded_time_and_leaves_nothing(tmp_path: Path) -> None:
    child = tmp_path / "child"
    command = f"sleep 600 & echo $! > {child}; wait"
    result = run("hangs", ("sh", "-c", command), bound=1.0)
    assert result["code"] is None
    assert "out of time" in table([result])
    pid, deadline = child.read_text().strip(), time.monotonic() + 10
    while _lives(pid) and time.monotonic() < deadline:  # a signal takes its moment
        time.sleep(0.01)
    assert not _lives(pid)


def _lives(pid: str) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_some_are_run_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    benches = {name: (sys.executable, "-c", "pass") for name in "ab"}
    assert main(["b", "--results", str(tmp_path / "r.json")], benches) == 0
    assert "--- a" not in capfd.readouterr().out
    with pytest.raises(SystemExit):
        main(["c"], benches)
    assert "no bench c; there are a, b" in capfd.readouterr().err


def test_every_bench_is_there_and_in_the_document() -> None:
    files = {path.stem for path in (ROOT / "tests" / "bench").glob("bench_*.py")}
    assert files == {f"bench_{name}" for name in BENCHES}
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert [name for name in BENCHES if f"`bench_{name}`" not in text] == []


def test_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_ROWS", raising=False)
    assert [number(v) for v in (0.12345, 12.345, 999.0, 1234.5)] == ["0.123", "12.3", "999", "1,234"]
    assert measured("x", [1.0, 5.0], "s", bar=3.0)
    assert not measured("x", [1.0, 5.0], "s", bar=2.0, at_most=True)
    assert measured("x", [1.0, 5.0], "s", bar=2.0, at_most=True, judged=1.0)
