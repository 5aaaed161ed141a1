from __future__ import annotations

import os
from pathlib import Path

from stages.cli.buffered import HEADER, Tee
from stages.scanner.tee import Rows


def test_lines_that_come_in_pieces(tmp_path: Path) -> None:
    """By processes: tests/cli/test_tee.py."""
    source, feed = os.pipe()
    taken, sink = os.pipe()
    for piece in (b"sad", b"dr\n10.0.", b"0.1\n10.0.0.2"):
        os.write(feed, piece)
    os.close(feed)
    assert Tee(str(tmp_path / "all"), Rows(), status=str(tmp_path / "status")).run(source, sink) == 0
    assert os.read(taken, 100) == b"10.0.0.1\n10.0.0.2\n"
    for end in (source, taken, sink):
        os.close(end)
    assert (tmp_path / "all").read_bytes() == b"saddr\n10.0.0.1\n10.0.0.2"
    header, *rows = (tmp_path / "status").read_text().splitlines(keepends=True)
    assert header == HEADER
    assert all(row.count(",") == HEADER.count(",") for row in rows)
