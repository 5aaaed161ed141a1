from __future__ import annotations

import os
from pathlib import Path

import pytest

from stages.core.errors import HostError, UsageError
from stages.scanner.side_file import SideFile


def test_it_is_changed_from_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    file = SideFile("--x", str(path))
    assert path.read_text() == "precious"
    file.begin()
    file.write("a\n")
    file.write("b\n")
    assert path.read_text() == "a\nb\n"
    file.close()


def test_another_content_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    file = SideFile("--x", str(tmp_path / "link"))
    reader = path.open()
    file.replace("new", last=False)
    assert path.read_text() == "new"
    assert reader.read() == "precious"  # who has the old one open reads it to its end
    reader.close()
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]
    file.close()


def test_a_pipe_gets_the_last_content_alone(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = SideFile("--x", str(path))
    file.begin()
    file.replace("first", last=False)
    file.replace("last", last=True)
    file.close()
    assert os.read(reader, 100) == b"last"
    os.close(reader)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--x: '.*/none/file': cannot be written: No such file"):
        SideFile("--x", str(tmp_path / "none" / "file"))
    full = SideFile("--x", "/dev/full")
    with pytest.raises(HostError, match="--x: /dev/full cannot be written: No space left"):
        full.write("a")
    full.close()
    gone = tmp_path / "folder"
    gone.mkdir()
    file = SideFile("--x", str(gone / "file"))
    (gone / "file").unlink()
    gone.rmdir()
    with pytest.raises(HostError, match="cannot be written: No such file"):
        file.replace("a", last=True)
    file.close()
