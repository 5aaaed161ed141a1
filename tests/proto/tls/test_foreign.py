"""What is not TLS, by name."""

from __future__ import annotations

import pytest

from stages.proto.tls.foreign import name_of, told


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "plain text (HTTP)"),
        (b"SSH-2.0-OpenSSH_9.2", "plain text (SSH)"),
        (b"220 mail.test ESMTP", "plain text (SMTP or FTP)"),
        (b"+OK ready", "plain text (POP3)"),
        (b"* OK ready", "plain text (IMAP)"),
        (b"hello?\r\n", "plain text"),
        (b"\x80\x03\x00\x00\x01", "an SSLv2 error"),
        (b"\x80\x40\x04\x00\x01\x00\x02", "an SSLv2 ServerHello"),
        (b"\x80\x03\x00", "an SSLv2 error"),
        (b"\x80\x50\x00\x00\x01", "bytes"),
        (b"\x80\x02", "bytes"),
        (b"\0\0\0\0", "bytes"),
        (b"", "bytes"),
        (b"\xff\xfd\x01", "bytes"),
    ],
)
def test_names(head: bytes, name: str) -> None:
    assert name_of(head) == name


def test_the_sentence_holds_the_bytes() -> None:
    assert told(b"HTTP/1.1", "content type 72") == (
        f"not TLS but plain text (HTTP): content type 72; the answer begins with {b'HTTP/1.1'.hex()}"
    )
