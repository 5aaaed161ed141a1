"""The checks against real servers on loopback: a name server, pages, and files of words."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.cli.dnsasking import Resolver
from stages.cli.notice_checks import look
from stages.cli.sections import load_settings
from tests.cli.command import longline
from tests.fleet.notices import TEXT
from tests.servers.nameserver import Table, answer, nameserver
from tests.servers.notice import Served, served

TABLE: Table = {
    ("PTR", "1.0.0.127.in-addr.arpa"): ("scan1.research.example",),
    ("A", "scan1.research.example"): ("127.0.0.1",),
    ("PTR", "2.0.0.127.in-addr.arpa"): ("host2.example",),
}


@pytest.fixture
def names() -> Iterator[str]:
    with nameserver(lambda query: [answer(query, TABLE)]) as server:
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A notice whose sources are of loopback."""
    made = tmp_path / "notice.toml"
    text = TEXT.replace('["192.0.2.10", "192.0.2.128/25"]', '["127.0.0.1", "127.0.0.2"]')
    made.write_text(text.replace('["2001:db8::1"]', '["192.0.2.7"]'))
    return made


@pytest.fixture
def site(tmp_path: Path, file: Path) -> Iterator[Served]:
    with served(tmp_path, notice=file) as made:
        yield made


def test_what_is_found(names: str, file: Path, site: Served) -> None:
    loaded = load_settings(argparse.Namespace(settings=None, no_system_config=True))
    found = [
        (each.state, each.check, each.text) for each in look(str(file), loaded, Resolver(names), site.http, site.https)
    ]
    assert ("pass", "reverse DNS", "127.0.0.1 is scan1.research.example, and back") in found
    assert ("FAIL", "reverse DNS", "127.0.0.2 is host2.example, which does not lead back") in found
    assert ("FAIL", "reverse DNS", "192.0.2.7 has no name") in found
    assert ("pass", "notice", f"http://127.0.0.1:{site.http}/ names scan@measurement.example") in found
    assert ("pass", "notice", f"https://127.0.0.1:{site.https}/ names scan@measurement.example") in found
    assert [state for state, _, text in found if text.startswith("http://127.0.0.2")] == ["FAIL"]
    assert [
        state for state, _, text in found if text.startswith("http://192.0.2.7") and "LONGLINE_CONFINE" in text
    ] == ["warn"]
    assert found[0] == ("pass", "notice", f"{file}, 3 sources")
    assert found[-1] == ("pass", "probe text", "bannergrab: nothing is said first")


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ({"LONGLINE_BANNERGRAB_DATA": "http-req"}, "warn"),
        ({"LONGLINE_BANNERGRAB_DATA": "mine"}, "pass"),
        ({"LONGLINE_BANNERGRAB_DATA": "template:mine"}, "pass"),
        ({"LONGLINE_BANNERGRAB_DATA": "none"}, "warn"),
        ({"LONGLINE_BANNERGRAB_TALK": "http"}, "warn"),
        ({"LONGLINE_BANNERGRAB_TALK": "ssh"}, "pass"),
    ],
)
def test_words_of_the_settings_in_force(
    names: str, file: Path, tmp_path: Path, words: dict[str, str], state: str
) -> None:
    (tmp_path / "mine").write_text("GET / HTTP/1.0\r\nUser-Agent: x (+https://scan.measurement.example/)\r\n\r\n")
    ran = longline("doctor", "--notice", file, "--resolver", names, "--json", cwd=tmp_path, env=words)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [row["state"] for row in rows if row["check"] == "probe text"] == [state]
    assert ran.returncode == 1


def test_a_notice_that_is_none(names: str, tmp_path: Path) -> None:
    (tmp_path / "notice.toml").write_text("organisation = 7\n")
    ran = longline("doctor", "--notice", "notice.toml", "--resolver", names, cwd=tmp_path)
    assert ran.returncode == 1
    assert "FAIL notice: notice.toml:1: organisation: 7: " in ran.stdout
    assert longline("doctor", "--notice", "notice.toml", "--resolver", "x.example", cwd=tmp_path).returncode == 2
