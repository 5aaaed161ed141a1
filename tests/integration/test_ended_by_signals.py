"""What a scan says of itself, in files, is whole after whatever ended it."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import PATIENCE, argv
from tests.servers.talkers import talker


def begun(folder: Path, port: int, host: str) -> subprocess.Popen[str]:
    """A scan of 20,000 ports, 50 a second, that has told of itself at least once."""
    for name in ("meta.json", "status.csv", "found.csv"):
        (folder / name).write_text("old\n" * 1000)
    scan = subprocess.Popen(
        argv(
            "scan", "--engine", "connect", "-q", "-r", "50", "-c", "1", "-p", f"{port},1-20000", "-o", "found.csv",
            "-f", "saddr,sport,classification", "-m", "meta.json", "-u", "status.csv", "-l", "log.txt", "-g", host,
        ),
        cwd=folder, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + PATIENCE
    while len((folder / "status.csv").read_text().splitlines()) not in range(2, 1000):
        assert scan.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    return scan


def rows(path: Path) -> list[dict[str, str]]:
    text = path.read_text()
    assert text.endswith("\n")
    found = list(csv.DictReader(io.StringIO(text)))
    assert all(None not in row and None not in row.values() for row in found)
    return found


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop(tmp_path: Path, signum: signal.Signals) -> None:
    with talker(lambda connection: None) as (host, port):
        scan = begun(tmp_path, port, host)
        running = json.loads((tmp_path / "meta.json").read_text())
        scan.send_signal(signum)
        out, _ = scan.communicate(timeout=PATIENCE)
    assert scan.returncode == 128 + signum
    assert (running["complete"], running["longline"]["reason"]) == (False, "running")
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert (meta["complete"], meta["longline"]["reason"]) == (False, "stopped")
    assert 0 < meta["packets_sent"] < 20_001
    assert meta["output_results"] == len(rows(tmp_path / "found.csv")) > 0
    assert meta["recv_end_time"] is not None
    assert rows(tmp_path / "status.csv")
    assert "exc\tend\tstopped" in out.splitlines()
    assert "stopped at" in (tmp_path / "log.txt").read_text()


def test_killed(tmp_path: Path) -> None:
    with talker(lambda connection: None) as (host, port):
        scan = begun(tmp_path, port, host)
        scan.kill()
        scan.communicate(timeout=PATIENCE)
    assert json.loads((tmp_path / "meta.json").read_text())["longline"]["reason"] == "running"
    assert rows(tmp_path / "status.csv")
    assert rows(tmp_path / "found.csv")
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_wrong_arguments_touch_nothing(tmp_path: Path) -> None:
    for name in ("meta.json", "status.csv", "found.csv"):
        (tmp_path / name).write_text("precious")
    ran = subprocess.run(
        argv("scan", "-o", "found.csv", "-m", "meta.json", "-u", "status.csv", "-p", "80", "-f", "none", "127.0.0.1"),
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    ran = subprocess.run(
        argv("scan", "-o", "found.csv", "-m", "meta.json", "-u", "none/x", "-p", "80", "127.0.0.1"),
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "-u/--status-updates-file: 'none/x'" in ran.stderr
    assert {(tmp_path / name).read_text() for name in ("meta.json", "status.csv", "found.csv")} == {"precious"}
