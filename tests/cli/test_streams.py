"""Closed, full and abandoned standard streams, as a shell hands them over."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stages.cli.streams import standard
from stages.core.errors import HostError, ReaderGone
from tests.cli.command import PATIENCE, argv

FULL = "No space left on device"


def shell(words: list[str], redirections: str) -> subprocess.CompletedProcess[str]:
    """`longline WORDS REDIRECTIONS` in bash; the exit code is longline's also in a pipe."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shlex.join(argv(*words))} {redirections}"],
        capture_output=True,
        text=True,
        env={**os.environ, "LONGLINE_CONFINE": "1"},
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An empty store."""
    url = f"sqlite:{tmp_path}/empty.db"
    made = shell(["sink", "--init", "--store", url], "")
    assert made.returncode == 0, made.stderr
    return url


@pytest.mark.parametrize("words", [["--help"], ["scan", "--help"], ["config"], ["simnet", "--truth"]], ids=" ".join)
def test_a_full_disk_is_one_line_and_exit_1(words: list[str]) -> None:
    done = shell(words, "> /dev/full")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f": standard output: {FULL}")


@pytest.mark.parametrize("words", [["query", "services"], ["export", "services", "--format", "csv"]], ids=" ".join)
def test_what_reads_the_store_says_it_too(words: list[str], store: str) -> None:
    done = shell([*words, "--store", store], "> /dev/full")
    assert (done.returncode, done.stderr) == (1, f"longline: standard output: {FULL}\n")


def test_an_export_to_a_full_disk(store: str) -> None:
    done = shell(["export", "services", "--format", "csv", "-o", "/dev/full", "--store", store], "")
    assert (done.returncode, done.stderr) == (1, f"longline: /dev/full: {FULL}\n")


@pytest.mark.parametrize(
    ("words", "redirections", "code", "told"),
    [
        (["config"], ">&-", 1, "longline config: standard output: Bad file descriptor\n"),
        (["bannergrab", "-p", "80"], "<&-", 1, "longline: reading input: Bad file descriptor\n"),
        (["bannergrab", "-p", "80"], "2>&- </dev/null", 0, ""),
        (["bannergrab", "-p", "x"], "<&- >&- 2>&-", 2, ""),
    ],
    ids=str,
)
def test_closed_streams_are_errors_and_no_crash(words: list[str], redirections: str, code: int, told: str) -> None:
    done = shell(words, redirections)
    assert done.returncode == code, done.stderr
    assert "".join(line for line in done.stderr.splitlines(keepends=True) if " INFO " not in line) == told


@pytest.mark.parametrize("words", [["simnet", "--truth"], ["--help"]], ids=" ".join)
def test_a_reader_that_left_before_we_wrote(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(argv(*words), stdout=writing, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_stage_whose_reader_leaves_says_nothing() -> None:
    """Not even what it drops: nobody would have read it."""
    done = shell(["bannergrab", "-p", "1", "--per-prefix", "0", "-v", "2"], "< <(seq -f 127.0.0.%g 1 200) | head -n 1")
    assert (done.returncode, done.stderr) == (141, "")
    assert len(done.stdout.splitlines()) == 1


def test_within_a_program_that_catches_the_output_nothing_changes(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with standard():
        assert sys.stdout is before
        sys.stdout.write("here\n")
    assert capsys.readouterr().out == "here\n"


@pytest.mark.parametrize(("path", "error"), [("/dev/full", HostError), (None, ReaderGone)])
def test_the_stream_itself_says_what_is_wrong(path: str | None, error: type[Exception]) -> None:
    program = (
        "import sys\n"
        "from stages.cli.streams import standard\n"
        "try:\n"
        "    with standard():\n"
        "        print('x')\n"
        "except Exception as error:\n"
        "    sys.exit(type(error).__name__)\n"
    )
    if path is None:
        reading, out = os.pipe()
        os.close(reading)
    else:
        out = os.open(path, os.O_WRONLY)
    done = subprocess.run([sys.executable, "-c", program], stdout=out, stderr=subprocess.PIPE, check=False)
    os.close(out)
    assert done.stderr.decode() == f"{error.__name__}\n"
