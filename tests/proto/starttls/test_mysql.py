"""MySQL."""

from __future__ import annotations

import pytest

from stages.proto.starttls.mysql import SSL_REQUEST, begin
from stages.proto.starttls.prelude import StarttlsError
from tests.proto.starttls.peers import walk


def greeting(flags: int = 0xF7FF | 0x0800, version: bytes = b"8.0.36", protocol: int = 10) -> bytes:
    body = bytes((protocol,)) + version + b"\0" + b"\1\0\0\0" + b"scramble" + b"\0" + flags.to_bytes(2, "little")
    body += b"\xff\2\0" + b"\xff\xdf" + b"\x15" + bytes(10) + b"more scramble"
    return len(body).to_bytes(3, "little") + b"\0" + body


@pytest.mark.parametrize("size", [None, 1])
def test_the_way_to_tls(size: int | None) -> None:
    walk(begin(None), [(greeting(), SSL_REQUEST)], size)


def test_the_request() -> None:
    assert len(SSL_REQUEST) == 36
    assert SSL_REQUEST[:4] == b"\x20\0\0\1", "32 bytes, the second packet"
    assert int.from_bytes(SSL_REQUEST[4:8], "little") & 0x0800, "CLIENT_SSL"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (greeting(0xF7FF & ~0x0800), "TLS is not offered"),
        (greeting(protocol=9), "no MySQL handshake"),
        (b"\x09\0\0\0\xff\x6a\x04Host", None),
        (b"\x09\0\0\0\xff\x6a\x04Host '", "lets nobody in"),
        (b"220 mx.test ESMTP\r\n", "no MySQL handshake"),
        (b"\x05\0\0\0\x0a8.0\0", "no MySQL handshake"),
        (b"\x05\0\0\0\x0a8.0.", "no MySQL handshake"),
        (b"\xff\xff\xff\0\x0a", "no MySQL handshake"),
    ],
)
def test_a_server_that_does_not_offer_it(said: bytes, why: str | None) -> None:
    one = begin(None)
    if why is None:
        assert one.receive(said) == b""
        assert not one.ready
        return
    with pytest.raises(StarttlsError, match=why):
        one.receive(said)
