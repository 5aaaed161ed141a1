from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.core.errors import HostError, UsageError
from stages.fleet import asking
from stages.fleet.asking import Asked
from stages.fleet.desk import INVITE_SECONDS, MAX_SHOWN, SqliteDesk
from tests.fleet.material import NOW

ASKED = Asked(("8.8.8.0/24", "4.0.0.0/8"), ("4.0.0.0/8",), (), "why", "a@b.example")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[SqliteDesk]:
    made = SqliteDesk(tmp_path / "notice.db")
    yield made
    made.close()


def test_the_file_is_ours_alone(desk: SqliteDesk, tmp_path: Path) -> None:
    for file in tmp_path.glob("notice.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_invitation_is_spent_once(desk: SqliteDesk) -> None:
    desk.invite("h", "alice", NOW)
    assert desk.invited("h", NOW) == "alice"
    assert desk.invited("g", NOW) is None
    assert desk.sign_in("h", "s", NOW, NOW + 10) == "alice"
    assert desk.sign_in("h", "t", NOW, NOW + 10) is None
    assert desk.invited("h", NOW) is None
    assert (desk.session("s", NOW), desk.session("s", NOW + 11), desk.session("t", NOW)) == ("alice", None, None)
    desk.sign_out("s")
    assert desk.session("s", NOW) is None


def test_a_newer_invitation_replaces_the_older(desk: SqliteDesk) -> None:
    desk.invite("old", "alice", NOW)
    desk.invite("bobs", "bob", NOW)
    desk.invite("new", "alice", NOW)
    assert [desk.invited(h, NOW) for h in ("old", "new", "bobs")] == [None, "alice", "bob"]
    assert desk.sign_in("new", "s", NOW + INVITE_SECONDS + 1, NOW * 2) is None


def test_requests_outlive_the_process_and_carry_no_secret(tmp_path: Path) -> None:
    desk = SqliteDesk(tmp_path / "notice.db")
    assert desk.file("alice", ASKED, NOW) == 1
    desk.close()
    desk = SqliteDesk(tmp_path / "notice.db", make=False)
    [one] = desk.of("alice")
    assert one == desk.request(1)
    assert (one.number, one.networks, one.wide, one.reason) == (1, ASKED.networks, ASKED.wide, "why")
    assert (one.contact, one.state, one.decided, one.said) == ("a@b.example", "waiting", None, "")
    assert desk.of("bob") == []
    desk.close()


def test_decided_once(desk: SqliteDesk) -> None:
    number = desk.file("alice", ASKED, NOW)
    assert number is not None
    assert desk.decide(number, "refused", "no", NOW + 5)
    assert not desk.decide(number, "accepted", "", NOW + 6)
    one = desk.request(number)
    assert (one.state, one.said, one.decided) == ("refused", "no", NOW + 5)
    with pytest.raises(UsageError, match="no such request"):
        desk.request(99)


def test_bounds(desk: SqliteDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.fleet.desk.MAX_REQUESTS", MAX_SHOWN + 2)
    for _ in range(MAX_SHOWN + 2):
        number = desk.file("alice", ASKED, NOW)
        assert number is not None
        assert desk.decide(number, "refused", "no", NOW)
    assert desk.file("alice", ASKED, NOW) is None
    assert [one.number for one in desk.of("alice")] == list(range(MAX_SHOWN + 2, 2, -1))
    assert asking.MAX_WAITING < asking.MAX_REQUESTS


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="longline notice invite makes it"):
        SqliteDesk(tmp_path / "none.db", make=False)
    with pytest.raises(HostError, match="cannot be written"):
        SqliteDesk(tmp_path / "no" / "folder.db")
    (tmp_path / "text.db").write_text("x" * 5_000)
    with pytest.raises(HostError):
        SqliteDesk(tmp_path / "text.db")


def test_a_newer_file_is_not_touched(tmp_path: Path) -> None:
    SqliteDesk(tmp_path / "notice.db").close()
    with sqlite3.connect(tmp_path / "notice.db") as connection:
        connection.execute("UPDATE schema_version SET version = 99 WHERE part = 'notice'")
    connection.close()
    with pytest.raises(UsageError, match="newer Longline"):
        SqliteDesk(tmp_path / "notice.db")
