"""`longline tlsgrab` in a pipe."""

from __future__ import annotations

import json
import socket

from tests.cli.command import longline
from tests.servers.talkers import talker


def plain(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"400 speak HTTP\r\n")
    connection.close()


def test_an_answer_that_is_not_tls_is_named_with_its_bytes() -> None:
    with talker(plain) as (host, port):
        ran = longline("tlsgrab", "--alpn", "h2", stdin=f"{host},{port},www.example.org\n")
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert (record["outcome"], record["phase"], record["sni"]) == ("protocol", "hello", "www.example.org")
    assert b"400 speak".hex() in record["error"]


def test_what_cannot_be_a_version_is_refused() -> None:
    ran = longline("tlsgrab", "--versions", "tls1.3-tls1.2")
    assert ran.returncode == 2
    assert "tls1.3 is above tls1.2" in ran.stderr
