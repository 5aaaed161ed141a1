"""The program of docs/api.md runs, against a server on the loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from tests.docs.blocks import ROOT, blocks_of
from tests.servers.talkers import talker


def test_the_program_of_the_document_runs() -> None:
    (block,) = [
        block
        for block in blocks_of((ROOT / "docs" / "api.md").read_text(), "docs/api.md")
        if block.language == "python"
    ]
    with talker(socket.socket.close) as (host, port):
        program = block.text
        for written, here in (("10.0.0.0/24", host), ('"443"', f'"{port}"'), ("1K", "1000")):
            assert written in program
            program = program.replace(written, here)
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
            env={**os.environ, "LONGLINE_CONFINE": "1"},
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found, summary = ran.stdout.splitlines()
    *target, rtt = found.split()
    assert target == [host, str(port)]
    assert 0 < float(rtt) < 60
    assert "Summary(" in summary
