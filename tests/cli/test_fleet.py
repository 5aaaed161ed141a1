from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from stages.fleet.state import State
from tests.cli.command import longline


def test_a_token_makes_all_that_is_needed_and_revoking_ends_it(tmp_path: Path) -> None:
    made = longline("fleet", "enrol", "alice", "--host", "coordinator.example", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("ll1.")
    assert "coordinator.example" in made.stderr
    assert (tmp_path / "fleet" / "ca-key.pem").stat().st_mode & 0o77 == 0
    second = longline("fleet", "ca", "enrol", "bob", cwd=tmp_path)
    assert second.stdout.rpartition(".")[2] == made.stdout.rpartition(".")[2], "the same authority"
    assert longline("fleet", "list", "--json", cwd=tmp_path).stdout == ""
    gone = longline("fleet", "revoke", "alice", cwd=tmp_path)
    assert gone.returncode == 1
    assert "had no certificate" in gone.stderr


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    assert longline("fleet", "init", cwd=tmp_path).returncode == 0
    again = longline("fleet", "init", cwd=tmp_path)
    assert again.returncode == 2
    assert "its agents would be lost" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dance",), "'dance': not one of"),
        (("enrol",), "ALIAS"),
        (("enrol", "../x"), "'../x'"),
        (("list", "alice"), "ALIAS"),
        (("enrol", "a", "b"), "not one of"),
        (("list",), "no such file"),
        (("top",), "no such file"),
        (("revoke", "alice"), "no such file"),
        (("top", "--sort", "beauty"), "'beauty'"),
    ],
)
def test_bad_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    ran = longline("fleet", *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_empty_fleet_is_shown(tmp_path: Path) -> None:
    longline("fleet", "init", cwd=tmp_path)
    seen = json.loads(longline("fleet", "top", "--json", cwd=tmp_path).stdout)
    assert seen["agents"] == {"online": 0, "executing": 0, "storing": 0, "offline": 0}
    assert "agents: 0 online" in longline("fleet", "top", "--once", cwd=tmp_path).stdout


def test_the_list_says_which_certificates_are_good(tmp_path: Path) -> None:
    longline("fleet", "init", cwd=tmp_path)
    state, now = State(tmp_path / "fleet.db"), time.time()
    rows = (
        ("a", "alice", now + 99, None),
        ("b", "bob", now - 1, None),
        ("c", "carol", now + 99, now),
        ("d", "dan", 0, 0),
    )
    for serial, alias, ends, revoked in rows:
        row = (serial, alias, 0, ends, revoked)
        state.file.write_sync(
            lambda c, row=row: c.execute("INSERT INTO fleet_certificates VALUES (?, ?, ?, ?, ?)", row)
        )
    state.close()
    shown = [json.loads(line) for line in longline("fleet", "list", "--json", cwd=tmp_path).stdout.splitlines()]
    assert {row["alias"]: row["state"] for row in shown} == {
        "alice": "good", "bob": "ended", "carol": "revoked", "dan": "revoked"
    }  # fmt: skip
