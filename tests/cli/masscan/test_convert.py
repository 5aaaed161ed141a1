"""--readscan: from any format into any other; nothing is touched before all is known to be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.scanner.masscan.items import Banner
from stages.scanner.masscan.reading import read_items
from stages.scanner.masscan.writing import FORMATS, About, writer
from tests.cli.command import longline
from tests.scanner.masscan.test_binary import ITEMS, file_of
from tests.scanner.masscan.test_writing import kept

LETTERS = {"xml": "X", "json": "J", "ndjson": "D", "list": "L", "grepable": "G", "unicornscan": "U", "binary": "B"}


@pytest.mark.parametrize("source", sorted(LETTERS))
def test_from_each_format_into_each(source: str, tmp_path: Path) -> None:
    made = writer(source, About(1))
    (tmp_path / "in").write_bytes(made.begin() + made.items(ITEMS) + made.end(2))
    first = [item for each in ITEMS if (item := kept(source, each)) is not None]
    for target in LETTERS:
        words = ("masscan", "--readscan", "in", "--show", "all", f"-o{LETTERS[target]}", f"out.{target}")
        done = longline(*words, cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())})
        assert (done.returncode, done.stdout) == (0, "")
        wanted = [item for each in first if (item := kept(target, each)) is not None]
        assert list(read_items((tmp_path / f"out.{target}").read_bytes())) == wanted


def test_the_screen_has_what_is_open(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(file_of(ITEMS))
    done = longline("masscan", "--readscan", tmp_path / "in")
    lines = done.stdout.splitlines()
    assert lines[0] == "Discovered open port 80/tcp on 1.2.3.4"
    assert not any(line.startswith("Discovered closed") for line in lines)
    assert sum(line.startswith("Banner on port") for line in lines) == sum(isinstance(item, Banner) for item in ITEMS)


def test_a_damaged_file_leaves_the_output_alone(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(file_of(ITEMS))
    (tmp_path / "bad").write_bytes(file_of([]) + b"\x40\x01a")
    out = tmp_path / "out.xml"
    out.write_text("keep me")
    done = longline("masscan", "--readscan", tmp_path / "good", tmp_path / "bad", "-oX", out)
    assert done.returncode == 2
    assert f"{tmp_path / 'bad'}: byte 198: a record of type 64" in done.stderr
    assert out.read_text() == "keep me"
    assert longline("masscan", "--readscan", tmp_path / "none").returncode == 2


def test_every_format_is_tried() -> None:
    assert set(LETTERS) | {"hostonly", "interactive"} == set(FORMATS)
