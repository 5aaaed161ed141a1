"""`longline query` and `longline export` on a small store made by a real run."""

from __future__ import annotations

import csv
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import longline
from tests.servers.talkers import talker

SAID = b"220 [bold red]ready[/] \x1b[31m\r\n"


def greet(connection: socket.socket) -> None:
    connection.sendall(SAID)
    connection.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, int]]:
    """(URL of the store, address, port) with one service in it."""
    url = f"sqlite:{tmp_path_factory.mktemp('query')}/scan.db"
    with talker(greet) as (host, port):
        ran = longline("run", "--engine", "connect", "-c", "0", "-p", str(port), "--store", url, host)
        assert ran.returncode == 0, ran.stderr
        yield url, host, port


def test_a_table_shows_what_was_said_and_lets_it_colour_nothing(store: tuple[str, str, int]) -> None:
    url, host, port = store
    ran = longline("query", "services", "--store", url)
    assert ran.returncode == 0, ran.stderr
    header, row = ran.stdout.splitlines()[:2]
    assert header.split()[:3] == ["ip", "port", "transport"]
    assert row.split()[:3] == [host, str(port), "tcp"]
    assert r"220 [bold red]ready[/] \x1b[31m\r\n" in row
    assert "\x1b" not in ran.stdout


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ((), 1),
        (("--port", "1"), 0),
        (("--outcome", "ok"), 1),
        (("--outcome", "reset"), 0),
        (("--ip", "127.0.0.0/8"), 1),
        (("--ip", "10.0.0.0/8"), 0),
        (("--since", "1h"), 1),
    ],
)
def test_filters(store: tuple[str, str, int], words: tuple[str, ...], rows: int) -> None:
    ran = longline("query", "services", "--json", "--store", store[0], *words)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == rows


def test_a_filter_that_means_nothing_is_refused(store: tuple[str, str, int]) -> None:
    ran = longline("query", "certificates", "--port", "443", "--store", store[0])
    assert ran.returncode == 2
    assert "--port" in ran.stderr


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    ran = longline("query", "services", "--store", f"sqlite:{tmp_path}/none.db")
    assert ran.returncode == 2
    assert "none.db" in ran.stderr
    assert not (tmp_path / "none.db").exists()


def test_export(store: tuple[str, str, int], tmp_path: Path) -> None:
    url, host, _ = store
    lines = longline("export", "banners", "--store", url)
    assert json.loads(lines.stdout)["ip"] == host
    table = longline("export", "services", "--store", url, "-f", "csv", "-o", tmp_path / "out.csv")
    assert table.returncode == 0, table.stderr
    (row,) = csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))
    assert (row["ip"], row["banner.outcome"]) == (host, "ok")


def test_an_unwritable_file_is_refused(store: tuple[str, str, int]) -> None:
    ran = longline("export", "services", "--store", store[0], "-o", "/nonexistent/out.csv")
    assert ran.returncode == 2
    assert "/nonexistent/out.csv" in ran.stderr
