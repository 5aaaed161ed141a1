"""Orders given: the file that keeps them."""

from __future__ import annotations

import getpass
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.cli import ordering
from stages.core.errors import HostError
from stages.core.heed import read_file
from stages.core.orders import Order


def test_what_does_not_stand_any_more_leaves_the_file(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "orders"
    ordering.write(str(file), [Order("stop", "all"), Order("stop", "campaign", "weekly")])
    ordering.write(str(file), [Order("lift", "all"), Order("stop", "campaign", "weekly", "another reason")])
    assert read_file(file).standing == (Order("stop", "campaign", "weekly", "another reason"),)
    assert len(file.read_bytes().splitlines()) == 1
    assert file.stat().st_mode & 0o444 == 0o444, "everybody may read it"


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    file = str(tmp_path / "orders")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: ordering.write(file, [Order("stop", "campaign", f"c{n}")]), range(20)))
    assert {order.what for order in read_file(file).standing} == {f"c{n}" for n in range(20)}


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be written"):
        ordering.write(str(tmp_path / "file" / "orders"), [Order("stop", "all")])


def test_who_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    assert ordering.who().startswith("ada@")
    monkeypatch.delenv("SUDO_USER")

    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert ordering.who().partition("@")[0].isdigit()
