"""`longline bannergrab` in a pipe, as banner-grab's users had it."""

from __future__ import annotations

import base64
import json
import socket

import pytest

from tests.cli.command import longline
from tests.servers.talkers import nobody, talker


def web(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhi \xff\n")
    connection.close()


def test_addresses_in_banners_out_and_the_shipped_payload() -> None:
    with talker(web) as (host, port), nobody() as (closed, _):
        ran = longline(
            "bannergrab", "-p", str(port), "-c", "5", "-d", "http-req", stdin=f"saddr\n# none\n{host}\n{closed}\n"
        )
    assert ran.returncode == 0, ran.stderr
    records = {record["ip"]: record for record in map(json.loads, ran.stdout.splitlines())}
    assert base64.b64decode(records[host]["data"]) == b"HTTP/1.0 200 OK\r\n\r\nhi \xff\n"
    assert records[host]["outcome"] == "ok"
    assert records[closed]["outcome"] == "refused"
    assert records[closed]["errno"] == "ECONNREFUSED"


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("hex", b"HTTP/1.0 200 OK\r\n\r\nhi \xff\n".hex()),
        ("base64", base64.b64encode(b"HTTP/1.0 200 OK\r\n\r\nhi \xff\n").decode()),
        ("ascii", r"HTTP/1.0 200 OK\r\n\r\nhi \xff\n"),
    ],
)
def test_formats_never_break_a_line(form: str, shown: str) -> None:
    with talker(web) as (host, port):
        ran = longline("bannergrab", "-p", str(port), "-d", "http-req", "-f", form, stdin=f"{host}\n")
    assert ran.stdout == f"{host} {shown}\n"


def test_a_bad_line_goes_to_the_dead_letters_and_the_run_goes_on() -> None:
    with talker(web) as (host, port):
        ran = longline("bannergrab", "-d", "http-req", stdin=f"not an address\n{host}:{port}\n")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["ip"] == host
    letters = [json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{")]
    assert [base64.b64decode(letter["original"]) for letter in letters] == [b"not an address"]
    assert letters[0]["reason"] == "target"


def test_confined_it_dials_nobody_outside_and_says_so() -> None:
    ran = longline("bannergrab", "-p", "80", stdin="192.0.2.1\n", env={"LONGLINE_RUNNER_LOCAL_TRIES": "1"})
    assert ran.returncode == 1
    assert "LONGLINE_CONFINE" in ran.stderr
    assert ran.stdout == ""
