from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from stages.fleet.asking import Asked
from stages.fleet.desk import SqliteDesk
from tests.cli.command import longline
from tests.fleet.material import NOW

DAY = f"{dt.datetime.fromtimestamp(NOW, dt.UTC):%Y-%m-%d}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where two requests wait."""
    desk = SqliteDesk(tmp_path / "notice.db")
    desk.file("alice", Asked(("8.8.8.0/24", "4.0.0.0/8"), ("4.0.0.0/8",), (), "a # hospital", "a@b.example"), NOW)
    desk.file("bob", Asked(("2600::/32",), (), (), "", "b@b.example"), NOW + 1)
    desk.close()
    return tmp_path


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in longline("optout", "requests", "--json", cwd=folder).stdout.splitlines()]


def test_they_are_listed(folder: Path) -> None:
    first, second = rows(folder)
    assert (first["number"], first["state"], first["account"]) == (1, "waiting", "alice")
    assert (first["networks"], first["wide"]) == (["8.8.8.0/24", "4.0.0.0/8"], ["4.0.0.0/8"])
    assert second["at"].startswith(DAY)
    table = longline("optout", "requests", cwd=folder).stdout
    assert "8.8.8.0/24 4.0.0.0/8" in table
    assert "a # hospital" in table


def test_accepted_goes_into_the_list(folder: Path) -> None:
    (folder / "optout.txt").write_text("8.8.8.0/24  # 2026-01-01 mail: before\n")
    ran = longline("optout", "accept", "1", "2", "1", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    listed = [json.loads(line) for line in longline("optout", "list", "--json", cwd=folder).stdout.splitlines()]
    assert [(row["network"], row["date"], row["source"], row["reason"]) for row in listed] == [
        ("8.8.8.0/24", "2026-01-01", "mail", "before"),
        ("4.0.0.0/8", DAY, "form", "request 1 of alice: a # hospital"),
        ("2600::/32", DAY, "form", "request 2 of bob"),
    ]
    assert [row["state"] for row in rows(folder)] == ["accepted", "accepted"]


def test_killed_between_the_two_it_waits_still_and_is_accepted_again(folder: Path) -> None:
    (folder / "optout.txt").write_text(f"2600::/32  # {DAY} form: request 2 of bob\n")
    assert longline("optout", "accept", "2", cwd=folder).returncode == 0
    assert (folder / "optout.txt").read_text().count("2600::/32") == 1
    assert rows(folder)[1]["state"] == "accepted"


def test_refused_stays_out_of_it(folder: Path) -> None:
    ran = longline("optout", "refuse", "1", "--reason", "not yours", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert not (folder / "optout.txt").exists()
    first, second = rows(folder)
    assert (first["state"], first["said"]) == ("refused", "not yours")
    assert first["decided"] is not None
    assert second["state"] == "waiting"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("accept",), "N: which"),
        (("accept", "x"), "N: 'x': not the number"),
        (("accept", "-1"), "N: '-1': not the number"),
        (("accept", "9" * 30), "not the number"),
        (("accept", "2", "3"), "N: 3: there is no such request"),
        (("refuse", "2"), "--reason: why"),
        (("refuse", "2", "--reason", " "), "--reason: ' ': one line"),
        (("refuse", "2", "--reason", "a\nb"), "one line"),
        (("requests", "2"), "requests is of all"),
        (("requests", "--requests", "none.db"), "longline notice invite makes it"),
    ],
)
def test_bad_words_decide_nothing(folder: Path, words: tuple[str, ...], said: str) -> None:
    ran = longline("optout", *words, cwd=folder)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert [row["state"] for row in rows(folder)] == ["waiting", "waiting"]
    assert not (folder / "optout.txt").exists()


def test_what_is_decided_stays_so(folder: Path) -> None:
    assert longline("optout", "refuse", "1", "--reason", "no", cwd=folder).returncode == 0
    ran = longline("optout", "accept", "2", "1", cwd=folder)
    assert ran.returncode == 2
    assert "N: 1: is refused already" in ran.stderr
    assert rows(folder)[1]["state"] == "waiting"
