"""The certificate client as a dialogue that tells."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest

from stages.proto.dialogues.tls import begin
from stages.proto.recognise.registry import name_of
from tests.proto.dialogues.peers import PACE, checked, hear, target
from tests.proto.rules.material import made
from tests.servers.tls_bytes import alert, flight

LEAF = made({"CN": "a.example"}, kind="rsa2048", life=timedelta(days=9))


@pytest.mark.parametrize("size", [1, 100, None])
def test_the_certificate(size: int | None) -> None:
    talk = begin(target(443, "a.example"), PACE)
    assert b"a.example" in talk.opening()
    said = flight([LEAF], 0x0303, 0x002F)
    assert name_of(said) == "tls"
    assert hear(talk, said, size) is None
    checked(talk)
    assert (talk.service, talk.broken) == ("tls", None)
    assert talk.facts == {
        "version": "TLSv1.2", "cipher_suite": "TLS_RSA_WITH_AES_128_CBC_SHA", "chain": [sha256(LEAF).hexdigest()],
    }  # fmt: skip
    assert talk.farewell()


def test_an_alert() -> None:
    talk = begin(target(443), PACE)
    talk.opening()
    hear(talk, alert(2, 40))
    talk.eof()
    assert (talk.service, talk.facts["alert"], talk.broken) == ("tls", "handshake_failure", None)


def test_no_tls() -> None:
    talk = begin(target(443), PACE)
    talk.opening()
    hear(talk, b"HTTP/1.1 400 Bad Request\r\n")
    talk.eof()
    checked(talk)
    assert talk.service is None
    assert talk.broken is not None
    assert "HTTP" in talk.broken


def test_its_pace_and_its_randomness() -> None:
    talk = begin(target(443), PACE)
    assert (talk.wait(), talk.idle, talk.total, talk.silence()) == (3.0, 1.5, 9.0, None)
    assert talk.opening() == begin(target(443), PACE).opening()
