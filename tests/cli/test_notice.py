from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from tests.cli.command import longline
from tests.fleet.notices import TEXT
from tests.servers.notice import NOTICE


def test_the_file_that_users_begin_with(tmp_path: Path) -> None:
    ran = longline("notice", "check", NOTICE, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "3 sources" in ran.stderr


def test_rendered(tmp_path: Path) -> None:
    (tmp_path / "notice.toml").write_text(TEXT)
    ran = longline("notice", "render", "--out", "www", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    files = {str(path.relative_to(tmp_path)) for path in (tmp_path / "www").rglob("*") if path.is_file()}
    assert set(ran.stdout.splitlines()) == files
    names = ("index.html", "notice.txt", "addresses.txt", "robots.txt", ".well-known/security.txt")
    assert files == {f"www/{name}" for name in names}
    page = (tmp_path / "www/index.html").read_text()
    assert "Example &lt;b&gt;University&lt;/b&gt; &amp; Sons" in page
    assert "/optout" not in page
    again = longline("notice", "render", "--out", "www", cwd=tmp_path)
    assert again.returncode == 0
    assert (tmp_path / "www/index.html").read_text() == page


def test_invited(tmp_path: Path) -> None:
    (tmp_path / "notice.toml").write_text(TEXT)
    links = {longline("notice", "invite", "alice", cwd=tmp_path).stdout for _ in range(2)}
    assert len(links) == 2
    for link in links:
        assert re.fullmatch(r"https://scan\.measurement\.example/invite/[A-Z2-7]{32}\n", link)
        assert link.strip().rpartition("/")[2].encode() not in (tmp_path / "notice.db").read_bytes()
    with sqlite3.connect(tmp_path / "notice.db") as connection:
        assert connection.execute("SELECT account FROM notice_invites").fetchall() == [("alice",)]
    connection.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check",), "--notice: 'notice.toml': No such file"),
        (("check", "."), "--notice: '.': "),
        (("check", "bad.toml"), "bad.toml:1: organisation: 7: "),
        (("check", "bytes.toml"), "not a text in UTF-8"),
        (("render", "good.toml"), "--out: where to"),
        (("check", "good.toml", "--out", "x"), "--out: 'x': is for render"),
        (("invite",), "NAME: who"),
        (("invite", "a b"), "NAME: 'a b': who"),
        (("serve", "good.toml", "--http", "", "--https", ""), "neither this nor --https"),
        (("serve", "good.toml", "--http", "80"), "not HOST:PORT"),
        (("serve", "good.toml", "--http", "x:80"), "not an address of this host"),
        (("serve", "good.toml", "--certificate", "none.pem"), "--certificate: 'none.pem'"),
        (
            ("serve", "good.toml", "--optout", "bad.toml", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"),
            "bad.toml:1",
        ),
    ],
)
def test_bad_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "good.toml").write_text(TEXT)
    (tmp_path / "bad.toml").write_text("organisation = 7\n")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    ran = longline("notice", *words, cwd=tmp_path)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert said in ran.stderr
