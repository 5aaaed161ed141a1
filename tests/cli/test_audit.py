"""`longline audit show`: of a real scan, of an agent's work, of what was erased."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import longline
from tests.cli.scans import FIRST, SECOND, hit, scan, stored, tls, two_weeks
from tests.servers.mongo import MongoServer
from tests.servers.talkers import talker


def greet(connection: socket.socket) -> None:
    connection.sendall(b"hello\r\n")
    connection.close()


def audit(prefix: str, *words: str, **how: Any) -> dict[str, Any]:
    ran = longline("audit", "show", prefix, "--json", *words, **how)
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_of_a_real_scan(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/scan.db"
    with talker(greet) as (host, port):
        ran = longline(
            "run", "--engine", "connect", "-c", "0", "-p", str(port), "--store", url, host, "--scan", "spring",
            "--approval", "ethics board 2026-17", "--operator", "Alice, Example Lab", "--vantage", "north",
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
    [row] = audit(host, "--store", url, cwd=tmp_path)["scans"]
    assert (row["scan"], row["operator"], row["approval"]) == ("spring", "Alice, Example Lab", "ethics board 2026-17")
    [place] = row["from"]
    assert (place["vantage"], place["addresses"]) == ("north", ["127.0.0.1"])
    assert (place["first"], place["last"]) == (row["first_stored"], row["last_stored"])
    assert (row["probe"], row["ports"], row["addresses"], row["probes_at_most"]) == ("tcp_synscan", str(port), 1, 1)
    assert row["stored"] == {"hit": 1, "banner": 1}
    assert row["start"] <= row["first_stored"] <= row["last_stored"] <= row["end"]
    said = longline("audit", "show", host, "--store", url, cwd=tmp_path).stdout
    assert "opted out not known: there is no optout.txt" in said
    assert "approval  ethics board 2026-17" in said
    assert audit("10.0.0.0/8", "--store", url, cwd=tmp_path)["scans"] == []


def test_who_ran_it_where_nobody_is_named(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/scan.db"
    words = ("--engine", "connect", "-c", "0", "-p", "1", "127.0.0.1", "--store", url)
    ran = longline("run", *words, env={"LONGLINE_SCANNER_APPROVAL": "ticket 5"})
    assert ran.returncode == 0, ran.stderr
    [row] = audit("127.0.0.0/8", "--store", url, cwd=tmp_path)["scans"]
    assert row["operator"].endswith(f"@{socket.gethostname()}")
    assert (row["approval"], row["stored"]) == ("ticket 5", {})


def test_opted_out_and_erased(tmp_path: Path) -> None:
    url = stored(tmp_path, two_weeks())
    assert longline("optout", "add", "192.0.2.0/24", "--reason", "the owner asked", cwd=tmp_path).returncode == 0
    assert longline("erase", "192.0.2.0/28", "--reason", "the owner asked", "--store", url).returncode == 0
    answer = audit("192.0.2.5", "--store", url, cwd=tmp_path)
    assert [entry["network"] for entry in answer["optout"]] == ["192.0.2.0/24"]
    assert [erased["observations"] for erased in answer["erased"]] == [8]
    assert [(row["scan"], row["stored"], row["probes_at_most"]) for row in answer["scans"]] == [
        ("spring", {}, 4), ("summer", {}, 4),
    ]  # fmt: skip
    said = longline("audit", "show", "192.0.2.5", "--store", url, cwd=tmp_path).stdout
    assert "mail: the owner asked" in said
    assert "192.0.2.0/28" in said
    other = audit("198.51.100.1", "--store", url, cwd=tmp_path)
    assert (other["optout"], other["erased"]) == ([], [])
    assert [row["scan"] for row in other["scans"]] == ["spring"]


def test_a_mongodb_and_a_fleet(mongo_server: MongoServer) -> None:
    url = f"{mongo_server.url}/audit"
    spec = {"operator": "bob@lab", "approval": "board 3"}
    records = [
        *scan("fleet", FIRST, spec),
        hit("fleet", FIRST, "192.0.2.7", vantage="alice", source={"ip": "203.0.113.1", "port": 4, "host": "a"}),
        hit("fleet", FIRST, "192.0.2.9", vantage="carol", source={"ip": "203.0.113.2", "port": 4, "host": "c"}),
        tls("fleet", SECOND, "192.0.2.7", "TLSv1.3", "a.example"),
    ]
    lines = "".join(f"{record.dump().decode()}\n" for record in records)
    assert longline("sink", "--store", url, stdin=lines).returncode == 0
    [row] = audit("192.0.2.0/24", "--store", url)["scans"]
    assert (row["operator"], row["stored"]) == ("bob@lab", {"hit": 2, "tls": 1})
    assert [place["vantage"] for place in row["from"]] == ["alice", "carol"]
    ran = longline("query", "stats", "--by", "issuer", "--json", "--store", url)
    assert json.loads(ran.stdout)["values"] == [{"value": "CN=a.example", "count": 1, "share": 1.0}]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "192.0.2.0/33"), "PREFIX: '192.0.2.0/33'"),
        (("hide", "192.0.2.0/24"), "hide"),
        (("show", "192.0.2.1", "--optout", "nothing.txt"), "--optout: 'nothing.txt'"),
    ],
)
def test_what_cannot_be(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    url = stored(tmp_path, [])
    ran = longline("audit", *words, "--store", url, cwd=tmp_path)
    assert ran.returncode == 2
    assert told in ran.stderr


def test_no_control_character_of_a_record_reaches_the_terminal(tmp_path: Path) -> None:
    url = stored(tmp_path, scan("evil\x1b[31m", FIRST, {"approval": "a\nscan forged"}))
    said = longline("audit", "show", "192.0.2.1", "--store", url, cwd=tmp_path).stdout
    assert "\x1b" not in said
    assert "a?scan forged" in said
