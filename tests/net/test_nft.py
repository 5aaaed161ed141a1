"""The program nft: where it is, and what its refusals mean."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from stages.net import nft


def fake(folder: Path, script: str) -> str:
    program = folder / "nft"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_none_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(nft, "SYSTEM_PATH", ())
    with pytest.raises(nft.Missing, match=r"nft \(nftables\) is not installed") as caught:
        nft.program()
    assert caught.value.errno == errno.ENOENT


def test_one_where_an_ordinary_path_does_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(nft, "SYSTEM_PATH", (str(tmp_path),))
    there = fake(tmp_path, "exit 0")
    assert nft.program() == there


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        ("Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed: Operation not "
         "permitted", nft.Forbidden, "CAP_NET_ADMIN"),
        ("netlink: Error: Could not process rule: Permission denied", nft.Forbidden, "CAP_NET_ADMIN"),
        ("Unable to initialize Netlink socket: Protocol not supported", nft.Missing, "no nf_tables"),
        ("-:1:17-20: Error: Could not process rule: File exists\ncreate table ip x", nft.Exists, "File exists"),
        ("Error: No such file or directory\nlist table ip nosuch", nft.Absent, "No such file"),
        ("Error: JSON support not compiled-in", nft.Missing, "cannot say what the kernel holds"),
        ("-:1:1-4: Error: syntax error, unexpected string", nft.FirewallError, "refused: -:1:1-4: Error: syntax"),
        ("", nft.FirewallError, "it said nothing"),
    ],
)  # fmt: skip
def test_a_refusal(tmp_path: Path, said: str, kind: type[nft.FirewallError], text: str) -> None:
    program = fake(tmp_path, f"cat >&2 <<'END'\n{said}\nEND\nexit 1")
    with pytest.raises(nft.FirewallError, match=text) as caught:
        nft.run(program, "list", "tables")
    assert type(caught.value) is kind


def test_what_it_prints_and_what_it_is_told(tmp_path: Path) -> None:
    assert nft.run(fake(tmp_path, 'echo "$@" $LC_ALL; cat'), "-f", "-", text="create\n") == "-f - C\ncreate\n"


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(nft.Missing, match="cannot be started"):
        nft.run(str(tmp_path / "nft"))


def test_a_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "SECONDS", 0.2)
    with pytest.raises(nft.FirewallError, match="did not end"):
        nft.run(fake(tmp_path, "exec sleep 60"))
