from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.cli.coordinator import Optouts
from stages.core.errors import UsageError
from tests.cli.command import longline


def listed(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in longline("optout", "list", "--json", cwd=folder).stdout.splitlines()]


def test_added_listed_imported_removed(tmp_path: Path) -> None:
    assert listed(tmp_path) == []
    ran = longline("optout", "add", "192.0.2.0/24", "2001:db8::/32", "--reason", "ticket 7", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "theirs").write_text("198.51.100.0/24 # as before\n192.0.2.0/24\n")
    assert longline("optout", "import", "theirs", "--source", "form", cwd=tmp_path).returncode == 0
    rows = listed(tmp_path)
    assert [(row["network"], row["source"], row["reason"]) for row in rows] == [
        ("192.0.2.0/24", "mail", "ticket 7"), ("2001:db8::/32", "mail", "ticket 7"),
        ("198.51.100.0/24", "form", "as before"),
    ]  # fmt: skip
    assert longline("optout", "remove", "192.0.2.0/24", cwd=tmp_path).returncode == 0
    assert [row["network"] for row in listed(tmp_path)] == ["2001:db8::/32", "198.51.100.0/24"]
    allowed = longline("blocklist", "-b", "optout.txt", stdin="192.0.2.1\n198.51.100.1\n", cwd=tmp_path)
    assert allowed.stdout == "192.0.2.1\n"


def test_what_the_log_did_not_hear_of_stays_in_the_list(tmp_path: Path) -> None:
    """So that it can be removed again when the log is there."""
    assert longline("optout", "add", "192.0.2.0/24", cwd=tmp_path).returncode == 0
    ran = longline("optout", "remove", "192.0.2.0/24", "--bus", "sqlite:away.db", cwd=tmp_path)
    assert (ran.returncode, "away.db" in ran.stderr) == (2, True)
    assert [row["network"] for row in listed(tmp_path)] == ["192.0.2.0/24"]


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        codes = pool.map(lambda n: longline("optout", "add", f"10.{n}.0.0/16", cwd=tmp_path).returncode, range(8))
        assert set(codes) == {0}
    assert {row["network"] for row in listed(tmp_path)} == {f"10.{n}.0.0/16" for n in range(8)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add",), "which"),
        (("add", "10.0.0.0/99"), "10.0.0.0/99"),
        (("remove", "10.0.0.0/8"), "is not in optout.txt"),
        (("import", "nothing"), "nothing"),
        (("list", "x"), "of all"),
    ],
)
def test_bad_words_change_nothing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "optout.txt").write_text("192.0.2.0/24 # mine\n")
    ran = longline("optout", *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert (tmp_path / "optout.txt").read_text() == "192.0.2.0/24 # mine\n"


def test_the_coordinator_reads_it_again_and_keeps_the_old_one_where_it_cannot(tmp_path: Path) -> None:
    file = tmp_path / "optout.txt"
    file.write_text("192.0.2.0/24\n192.0.3.0/24\n2001:db8::/32\n")
    optouts = Optouts(str(file))
    assert optouts.read() == ["192.0.2.0-192.0.3.255"]
    file.write_text("rubbish!\n")
    assert optouts.read() == ["192.0.2.0-192.0.3.255"]
    file.write_text("10.0.0.0/30\n")
    assert optouts.read() == ["10.0.0.0-10.0.0.3"]
    file.unlink()
    assert optouts.read() == ["10.0.0.0-10.0.0.3"]
    with pytest.raises(UsageError, match="--optout"):
        Optouts(str(file))
    assert Optouts(None).read() == []
