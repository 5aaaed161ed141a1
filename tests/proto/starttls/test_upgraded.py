"""A prelude, then TLS, as one dialogue: with OpenSSL as the server behind it."""

from __future__ import annotations

import os

import pytest

from stages.proto.starttls.registry import BY_NAME
from stages.proto.starttls.upgraded import Upgraded
from stages.proto.tls.client import Client
from stages.proto.tls.offers import MODERN
from stages.proto.tls.script import script_of
from tests.servers.certificates import identity, server_context
from tests.servers.tls_memory import Server

SMTP = (b"220 mx.test\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n")


def upgraded(protocol: str = "smtp") -> Upgraded:
    script = script_of(MODERN, first=3.0, idle=4.0, total=5.0)
    client = Client(script, b"mx.test", os.urandom(script.random_bytes))
    return Upgraded(protocol, BY_NAME[protocol](b"mx.test"), client)


@pytest.mark.parametrize("size", [None, 1])
def test_the_chain_behind_the_prelude(size: int | None) -> None:
    who = identity()
    server = Server(server_context(who))
    one = upgraded()
    assert (one.opening(), one.wait(), one.idle, one.total, one.silence()) == (b"", 3.0, 4.0, 5.0, None)
    said: bytes | None = b""
    for line in SMTP:
        assert not one.begun
        said = b""
        for at in range(0, len(line), size or len(line)):
            said += one.receive(line[at : at + (size or len(line))]) or b""
    assert one.begun
    assert said
    assert said[0] == 22
    answer = server(said)
    for at in range(0, len(answer), size or len(answer)):
        said = one.receive(answer[at : at + (size or len(answer))])
        if said is None:
            break
    assert said is None
    assert one.inner.chain_seen == who.chain  # type: ignore[attr-defined]
    assert one.farewell()


def test_a_refusal() -> None:
    one = upgraded()
    one.receive(SMTP[0])
    assert one.receive(b"250 mx\r\n") is None
    assert one.refused == "smtp: TLS is not offered: " + b"250 mx".hex()
    assert (one.begun, one.farewell(), one.eof()) == (False, b"", None)


def test_what_the_server_says_too_early_is_its_answer() -> None:
    """Bytes behind its last word cannot be TLS that answers us."""
    one = upgraded("pop3")
    one.receive(b"+OK\r\n")
    said = one.receive(b"+OK go\r\n-ERR what?\r\n")
    assert said
    one.eof()
    assert one.inner.error.startswith("not TLS but plain text")  # type: ignore[attr-defined]
