from __future__ import annotations

from pathlib import Path

import pytest

from stages.proto import ready
from stages.proto.template import Template, Values


def test_the_files_come_with_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(ready.read("netbios_137.pkt")) == 50
    assert b"%s" in ready.read("http-req")
    sip = ready.read("sip_options.tpl")
    rendered = Template.parse(sip).render(Values(1, 2, 3, 4, 5))
    assert rendered.endswith(b"\r\n\r\n")
    assert rendered.count(b"\n") == rendered.count(b"\r\n") == 11
    assert set(ready.NAMES) == {path.name for path in (Path(ready.__file__).parent / "ready").iterdir()}


def test_a_file_of_the_user_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("http-req").write_bytes(b"mine")
    assert ready.read("http-req") == b"mine"


@pytest.mark.parametrize("name", ["none", "sub/http-req", "../ready/http-req"])
def test_no_other_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        ready.read(name)


def test_what_comes_with_the_program_whatever_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ready.read_shipped("http-req")
    monkeypatch.chdir(tmp_path)
    Path("http-req").write_bytes(b"mine")
    assert ready.read_shipped("http-req") == theirs == ready.shipped("http-req").read_bytes()
    for name in ("none", "../ready/http-req", "/etc/passwd"):
        with pytest.raises(KeyError):
            ready.shipped(name)
