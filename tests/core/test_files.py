from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stages.core.files import PRIVATE, SHARED, replace


def test_the_old_content_or_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "f"
    for content in (b"one", b"another, longer", b""):
        replace(file, content, PRIVATE)
        assert file.read_bytes() == content
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize(("mode", "seen"), [(PRIVATE, 0o600), (SHARED, 0o640)])
def test_its_mode(tmp_path: Path, mode: int, seen: int) -> None:
    before = os.umask(0o027)
    try:
        replace(tmp_path / "f", b"", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == seen


def test_a_failure_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    replace(file, b"old", PRIVATE)

    def full(descriptor: int) -> None:
        raise OSError("no space")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            replace(file, b"new", PRIVATE)
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "no" / "f", b"", PRIVATE)
