"""`longline tlsgrab` in a pipe."""

from __future__ import annotations

import json
import socket
from base64 import b64decode
from hashlib import sha256

from tests.cli.command import longline
from tests.servers.certificates import identity, server_context
from tests.servers.talkers import talker
from tests.tlsgrab.test_stage import tls


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


def test_zgrab2_reads_it() -> None:
    shown = identity()
    with talker(tls(server_context(shown))) as (host, port):
        ran = longline("tlsgrab", "-f", "zgrab2", stdin=f"{host},{port},www.example.org\n")
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["ip"], said["domain"]) == (host, "www.example.org")
    log = said["data"]["tls"]["result"]["handshake_log"]
    assert log["server_hello"]["supported_versions"]["selected_version"]["name"] == "TLSv1.3"
    chain = [log["server_certificates"]["certificate"], *log["server_certificates"].get("chain", ())]
    assert [b64decode(c["raw"]) for c in chain] == shown.chain
    assert chain[0]["parsed"]["fingerprint_sha256"] == sha256(shown.chain[0]).hexdigest()
