"""Rotation: finished files are whole, named by their time, and nothing is lost between two."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UsageError
from stages.scanner import outputs
from stages.scanner.answers import BY_NUMBER, SYNACK
from stages.scanner.destination import FileDestination
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.masscan.reading import read_items
from stages.scanner.outputs.base import Format
from stages.scanner.rotation import RotatingFile, next_time, open_file
from stages.scanner.rows import Answer, connected
from stages.scanner.settings import ScannerSettings


def answers(count: int, first: int = 0) -> list[Answer]:
    return [
        connected(first + i, 80, SYNACK, ts=1_000_000, rtt=None)._replace(bound=BY_NUMBER) for i in range(count)
    ]  # fmt: skip


def module() -> Any:
    return outputs.get("masscan-json")(Format((), HitLines(HitSource("s", "tcp_synscan"))))


def opened(path: Path, **settings: Any) -> FileDestination:
    return open_file(str(path), module, ScannerSettings(output_file=str(path), **settings))


async def test_by_size_into_a_folder(tmp_path: Path) -> None:
    path, done = tmp_path / "scan.json", tmp_path / "done"
    done.mkdir()
    file = opened(path, rotate_size=600, rotate_dir=str(done))
    assert isinstance(file, RotatingFile)
    await file.begin(append=False)
    for turn in range(8):
        await file.write(answers(2, 2 * turn))
    await file.close()
    moved = sorted(done.iterdir())
    assert len(moved) >= 2
    assert all(re.fullmatch(r"\d{6}-\d{6}-scan(\.\d\d)?\.json", name.name) for name in moved)
    found = [item.ip for name in (*moved, path) for item in read_items(name.read_bytes())]
    assert sorted(found) == sorted(f"0.0.0.{i}" for i in range(16))
    for name in (*moved, path):
        json.loads(name.read_text())


async def test_by_time(tmp_path: Path) -> None:
    path = tmp_path / "scan.json"
    file = opened(path, rotate=3600.0)
    assert isinstance(file, RotatingFile)
    await file.begin(append=False)
    await file.write(answers(1))
    file._due = 0.0  # its time has come
    await file.write(answers(1, 1))
    await file.close()
    (moved,) = [name for name in tmp_path.iterdir() if name != path]
    assert [len(json.loads(name.read_text())) for name in (moved, path)] == [1, 1]


async def test_a_file_that_got_nothing_stays(tmp_path: Path) -> None:
    path = tmp_path / "scan.json"
    file = opened(path, rotate=3600.0, rotate_size=1)
    await file.begin(append=False)
    await file.write(answers(1))
    await file.close()
    assert list(tmp_path.iterdir()) == [path]


async def test_without_rotation_it_is_an_ordinary_file(tmp_path: Path) -> None:
    file = opened(tmp_path / "a")
    assert type(file) is FileDestination
    await file.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        opened(tmp_path / "a", rotate=1.0, rotate_dir=str(tmp_path / "b"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"rotate": 5}, "standard output cannot be moved"),
        ({"rotate": 5, "output_file": "-"}, "standard output cannot be moved"),
        ({"rotate_dir": "/tmp"}, "--rotate-dir is about --rotate"),
        ({"rotate_offset": 5}, "--rotate-offset is about --rotate"),
        ({"append_output": True}, "-o names none"),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ScannerSettings(**settings)


@given(st.floats(0, 4e9), st.floats(1, 1e6), st.floats(0, 1e6))
def test_the_next_time_is_near_and_later(now: float, every: float, offset: float) -> None:
    found = next_time(now, every, offset)
    assert now - 1e-3 <= found <= now + every * 1.001 + 1e-3
