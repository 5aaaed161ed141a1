"""What stands in paused.conf. (That a scan goes on with it: test_init.py.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.cli.masscan.config import Config
from stages.cli.masscan.pausing import PAUSED, _leave
from stages.cli.masscan.words import parse_words
from stages.scanner import checkpoint
from stages.scanner.checkpoint import Checkpoint


def test_an_unfinished_scan_leaves_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ".masscan-1.checkpoint"
    checkpoint.write(file, Checkpoint("s", 77, bytes(16), {}, 5))
    config = Config(ranges=["10.0.0.0/24"], excludes=["10.0.0.9"], tcp={80}, output_filename="out.json")
    _leave(config, file, own=True)
    again = parse_words(["--resume", PAUSED], system=None)
    assert (again.ranges, again.excludes, again.tcp) == (["10.0.0.0/24"], ["10.0.0.9"], {80})
    assert (again.seed, again.append, again.checkpoint) == (77, True, "paused.checkpoint")
    assert checkpoint.read("paused.checkpoint").position == 5
    assert not file.exists()


def test_a_finished_one_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.checkpoint"
    checkpoint.write(file, Checkpoint("s", 77, bytes(16), {}, 5, finished=True))
    _leave(Config(), file, own=True)
    _leave(Config(), file, own=True)  # and one that never began
    assert list(tmp_path.iterdir()) == []
