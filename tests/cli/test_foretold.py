"""--explain and --confirm-over: told and asked before a packet is sent."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import PATIENCE, argv, longline


def test_figures_of_a_scan() -> None:
    told = longline("scan", "-p", "80,443", "-r", "1000", "10.0.0.0/22", "--exclude", "10.0.3.0/24", "--explain").stdout
    lines = dict(line.split("  ", 1) for line in told.splitlines())
    figures = {name.strip(): value.strip() for name, value in lines.items()}
    assert figures["addresses"] == "768 (left out: 256 blocklist)"
    assert figures["targets"] == figures["packets"] == "1,536"
    assert figures["time"] == "1.5 s of sending, 8.0 s of listening"
    assert figures["on the wire"] == "720.00 kbit/s"  # 66 bytes, 24 more on the wire
    assert figures["load per /24"] == "up to 512 packets to 256 addresses, 333/s"


def test_frames_are_those_that_would_be_sent() -> None:
    """A module whose frames differ counts by what it sends to these ports, not by its largest."""
    told = longline("scan", "-M", "udp", "-p", "9", "-r", "1000", "10.0.0.0/24", "--explain").stdout
    assert "on the wire   672.00 kbit/s\n" in told


def test_a_scan_that_cannot_be_is_told_so() -> None:
    done = longline("scan", "10.0.0.0/24", "--explain")
    assert (done.returncode, done.stdout) == (2, "")


def test_above_the_number_it_refuses_without_a_terminal(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = longline("scan", "-p", "80", "10.0.0.0/24", "--confirm-over", "255", "-o", out)
    assert (done.returncode, out.exists()) == (2, False)
    assert "--confirm-over: 255: 256 targets are more, and there is no terminal to ask at" in done.stderr
    done = longline("masscan", "-p80", "10.0.0.0/24", "--confirm-over", "255", "--no-system-config")
    assert done.returncode == 2
    done = longline("scan", "-p", "80", "10.0.0.0/24", "--confirm-over", "256", "-d")
    assert done.returncode == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_it_asks_at_a_terminal(answer: str, code: int) -> None:
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            argv("scan", "-p", "80", "10.0.0.0/30", "--confirm-over", "3", "-d"), stdin=theirs,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "LONGLINE_CONFINE": "1"},
        )  # fmt: skip
        os.write(ours, answer.encode())
        out, told = process.communicate(timeout=PATIENCE)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == code
    assert "scan 4 targets? [y/N]" in told
    assert out.count("tcp {") == (4 if code == 0 else 0)
