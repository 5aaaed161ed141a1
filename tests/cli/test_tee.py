"""`longline tee` in a pipe, beside Debian's ztee."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.cli.command import PATIENCE, argv, longline
from tests.require import require

ROWS = "saddr,success\n10.0.0.1,1\n10.0.0.2,0\n10.0.0.3,1\n"


def test_rows_are_kept_and_addresses_passed_on(tmp_path: Path) -> None:
    ran = longline("tee", tmp_path / "all.csv", stdin=ROWS)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "10.0.0.1\n10.0.0.2\n10.0.0.3\n", "")
    assert (tmp_path / "all.csv").read_text() == ROWS
    assert longline("tee", "--success-only", tmp_path / "x", stdin=ROWS).stdout == "10.0.0.1\n10.0.0.3\n"
    assert longline("tee", "-r", tmp_path / "x", stdin="any\nthing").stdout == "any\nthing\n"


def test_as_debians_ztee(tmp_path: Path) -> None:
    require(shutil.which("ztee"), "Debian's zmap")
    for options in ((), ("--success-only",), ("--raw",)):
        theirs = subprocess.run(["ztee", *options, tmp_path / "theirs"], input=ROWS, capture_output=True, text=True,
                                check=False, timeout=60)  # fmt: skip
        ours = longline("tee", *options, tmp_path / "ours", stdin=ROWS)
        assert ours.stdout == theirs.stdout, options
        assert (tmp_path / "ours").read_text() == (tmp_path / "theirs").read_text() == ROWS


def test_a_slow_reader_does_not_stop_the_scan(tmp_path: Path) -> None:
    """Far more rows than a pipe holds are kept while nobody reads; then they are all there."""
    rows = "".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}\n" for n in range(200_000))
    (tmp_path / "in").write_text("saddr\n" + rows)
    with (tmp_path / "in").open("rb") as source:
        process = subprocess.Popen(argv("tee", tmp_path / "all"), stdin=source, stdout=subprocess.PIPE)
    assert process.stdout is not None
    end = time.monotonic() + PATIENCE
    while not (tmp_path / "all").exists() or (tmp_path / "all").stat().st_size < len(rows) + 6:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert process.poll() is None  # all is kept, and it waits for its reader
    assert process.stdout.read().decode() == rows
    process.stdout.close()
    assert process.wait(PATIENCE) == 0


def test_a_reader_that_goes_away_does_not_end_the_keeping(tmp_path: Path) -> None:
    process = subprocess.Popen(argv("tee", tmp_path / "all"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(b"10.0.0.1\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"10.0.0.1\n"
    process.stdout.close()
    for n in range(2, 2000):
        process.stdin.write(b"10.0.0.%d\n" % n)
        process.stdin.flush()
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert b"nobody reads any more" in process.stderr.read()
    process.stderr.close()
    assert (tmp_path / "all").read_bytes().count(b"\n") == 1999


def test_progress(tmp_path: Path) -> None:
    ran = longline("tee", "-m", "-u", tmp_path / "status", tmp_path / "all", stdin=ROWS)
    assert "read: 4 (" in ran.stderr
    *_, row = csv.DictReader((tmp_path / "status").read_text().splitlines())
    assert (row["total-read"], row["total-passed"], row["buffered-bytes"]) == ("4", "3", "0")
    assert None not in row


def test_a_first_interrupt_waits_for_the_scan_a_second_does_not(tmp_path: Path) -> None:
    process = subprocess.Popen(argv("tee", tmp_path / "all"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"10.0.0.1\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"10.0.0.1\n"
    process.send_signal(signal.SIGINT)
    process.stdin.write(b"10.0.0.2\n")  # the scan's last words
    process.stdin.flush()
    assert process.stdout.readline() == b"10.0.0.2\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 128 + signal.SIGINT
    process.stdin.close()
    process.stdout.close()


def test_what_is_refused_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "all").write_text("precious")
    assert longline("tee", "-r", "--success-only", tmp_path / "all", stdin=ROWS).returncode == 2
    assert longline("tee", "-u", tmp_path / "none" / "x", tmp_path / "all", stdin=ROWS).returncode == 2
    assert (tmp_path / "all").read_text() == "precious"
    assert longline("tee", tmp_path, stdin=ROWS).returncode == 2
    assert longline("tee", "/dev/null", stdin=ROWS).returncode == 2
    assert longline("tee", "--success-only", tmp_path / "x", stdin="saddr\n10.0.0.1\n").returncode == 2
    assert os.path.exists(tmp_path / "x")
