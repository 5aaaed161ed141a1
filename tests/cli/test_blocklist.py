from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.cli.command import argv, longline
from tests.require import require

LINES = "10.0.0.1\n192.0.2.1\n192.0.2.1\n10.1.0.1\nrubbish\n192.0.2.9\n"


def test_as_debians_zblacklist(tmp_path: Path) -> None:
    """The same lines through both, with the same options."""
    (tmp_path / "block").write_text("10.0.0.0/16 # some\n")
    (tmp_path / "allow").write_text("10.0.0.0/8\n192.0.2.0/29\n")
    lines = LINES.replace("rubbish\n", "")
    ours = [longline("blocklist", "-b", tmp_path / "block", stdin=lines),
            longline("blocklist", "-b", tmp_path / "block", "-w", tmp_path / "allow", stdin=lines),
            longline("blocklist", "-b", tmp_path / "block", "--no-duplicate-checking", stdin=lines)]  # fmt: skip
    assert [ran.stdout.split() for ran in ours] == [
        ["192.0.2.1", "10.1.0.1", "192.0.2.9"],
        ["192.0.2.1", "10.1.0.1"],
        ["192.0.2.1", "192.0.2.1", "10.1.0.1", "192.0.2.9"],
    ]
    require(shutil.which("zblacklist"), "Debian's zmap")
    for ran, options in zip(ours, (("-b", "block"), ("-b", "block", "-w", "allow"),
                                   ("-b", "block", "--no-duplicate-checking")), strict=True):  # fmt: skip
        theirs = subprocess.run(["zblacklist", *options], input=lines, capture_output=True, text=True, cwd=tmp_path,
                                check=False, timeout=60)  # fmt: skip
        assert theirs.stdout == ran.stdout


def test_lines_that_are_no_address(tmp_path: Path) -> None:
    (tmp_path / "block").write_text("10.0.0.0/8\n")
    assert longline("blocklist", "-b", tmp_path / "block", stdin=LINES).stdout.split() == [
        "192.0.2.1", "rubbish", "192.0.2.9"
    ]  # fmt: skip
    strict = longline("blocklist", "-b", tmp_path / "block", "--ignore-input-errors", stdin=LINES)
    assert strict.stdout.split() == ["192.0.2.1", "192.0.2.9"]


def test_files_and_logs(tmp_path: Path) -> None:
    (tmp_path / "block").write_text("1.2.3\n10.0.0.0/8\n")
    (tmp_path / "in").write_text(LINES)
    wrong = longline("blocklist", "-b", tmp_path / "block", tmp_path / "in")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert f"{tmp_path}/block:1: '1.2.3'" in wrong.stderr
    ran = longline("blocklist", "-b", tmp_path / "block", "--ignore-blocklist-errors", "-l", tmp_path / "log",
                   tmp_path / "in")  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split() == ["192.0.2.1", "rubbish", "192.0.2.9"]
    assert "left out" in (tmp_path / "log").read_text()


def test_what_is_missing(tmp_path: Path) -> None:
    assert longline("blocklist").returncode == 2
    assert longline("blocklist", "--default-blocklist", tmp_path / "none").returncode == 2
    assert longline("blocklist", "--default-blocklist", stdin="8.8.8.8\n10.0.0.1\n").stdout == "8.8.8.8\n"


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("".join(f"11.{n >> 8}.{n & 255}.1\n" for n in range(60_000)))
    with subprocess.Popen(argv("blocklist", "--default-blocklist", tmp_path / "in"), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""
