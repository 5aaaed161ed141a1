"""The view of a scan on a terminal."""

from __future__ import annotations

import io
import os
import pty
import socket
import subprocess
import sys
from contextlib import suppress

import pytest

from stages.scanner.liveview import Screen, lines
from stages.scanner.progress import Progress, Sample
from tests.servers.talkers import talker
from tests.servers.veth import ROOT


def test_what_is_shown_while_it_sends_and_after() -> None:
    progress = Progress(Sample(100, 0, 0, 0, 0), last=100_000, cooldown=8)
    kinds = {"synack": 100.0, "rst": 1_234.0, "unreach": 0.0}
    assert lines(progress, Sample(101, 10_000, 100, 0, 10_000), kinds, sending=True) == [
        "    0:01    6%  ##--------------------------------------  about 17s left",
        "sent             10,000    10.0 Kp/s  10.0 Kp/s avg",
        "open                100      100 p/s  100 p/s avg  1.00% of probes",
        "lost                  0        0 p/s  dropped by this host",
        "answers  rst 1,234  synack 100",
    ]
    shown = lines(progress, Sample(111, 100_000, 1_000, 5, 100_000, banners=20), kinds, sending=False)
    assert shown[1].split() == ["sent", "100,000", "done", "9.09", "Kp/s", "avg"]
    assert shown[3].split() == ["banners", "20", "2", "/s"]
    assert "left" in shown[0]


def test_it_is_drawn_over_itself_and_no_wider_than_the_terminal() -> None:
    stream = io.StringIO()
    screen = Screen(stream, width=6)
    screen.draw(["abcdefgh", "b", "c"])
    assert stream.getvalue() == "abcde\x1b[K\nb\x1b[K\nc\x1b[K\n"
    stream.seek(0)
    stream.truncate()
    screen.draw(["x", "y"])
    assert stream.getvalue() == "\x1b[3Fx\x1b[K\ny\x1b[K\n\x1b[K\n"


@pytest.mark.parametrize(("more", "live"), [((), True), (("--status-line",), False), (("-q",), None)])
def test_a_terminal_has_the_view_unless_the_line_is_asked_for(more: tuple[str, ...], live: bool | None) -> None:
    ours, theirs = pty.openpty()
    with talker(socket.socket.close) as (host, port):
        ran = subprocess.Popen(
            [sys.executable, "-m", "stages.cli.main", "scan", "--engine", "connect", "--no-system-config", "-r", "1",
             "-p", str(port), "-o", os.devnull, *more, host, "127.64.0.1-127.64.0.3"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs, cwd=ROOT,
            env={**os.environ, "LONGLINE_CONFINE": "1"},
        )  # fmt: skip
        os.close(theirs)
        said = b""
        with suppress(OSError):  # EIO: the other end is closed
            while part := os.read(ours, 4096):
                said += part
        os.close(ours)
        assert ran.wait(60) == 0, said
    assert (b"answers" in said and b"\x1b[5F" in said) == (live is True)
    assert (b"hitrate: " in said) == (live is False)
