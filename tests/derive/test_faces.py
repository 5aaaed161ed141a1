"""What stays of a banner, and what does not."""

from __future__ import annotations

import pytest

from stages.derive.faces import SAID_CHARS, face, said
from tests.derive.sweeps import said as banner

HTTP = b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 07:00:0%d GMT\r\nServer: %s\r\nSet-Cookie: s=%d\r\n\r\n<p>%d"
MYSQL = b"\x4a\0\0\0\x0a%s\0\x08\0\0\0%s\0"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"SSH-2.0-x\r\n\0\0\1\x0aABC", b"SSH-2.0-x\r\n\0\0\1\x0aDEF"),
        (b"hello\r\nSSH-2.0-x\r\n\0", b"hello\r\nSSH-2.0-x\r\n\1"),
        (HTTP % (1, b"nginx/1.2", 1, 1), HTTP % (2, b"nginx/1.2", 22, 2)),
        (MYSQL % (b"8.0.36", b"saltsalt"), MYSQL % (b"8.0.36", b"tlastlas")),
        (b"220 mx ESMTP; Sat, 21 Nov 2026 07:00:00 +0100\r\n", b"220 mx ESMTP; Sun, 22 Nov 2026 08:10:01 +0100\r\n"),
        (b"+OK POP3 <1896.697170952@mx.example>\r\n", b"+OK POP3 <1897.697170999@mx.example>\r\n"),
        (b"220-You are user number 1 of 50 allowed.\r\n", b"220-You are user number 7 of 50 allowed.\r\n"),
        (b"220 Local time is now 07:10. Server port: 21.\r\n", b"220 Local time is now 17:59. Server port: 21.\r\n"),
        (b"200 news ready 2026-11-21 07:00:00\r\n", b"200 news ready 2026-11-22 07:00:01\r\n"),
    ],
)  # fmt: skip
def test_what_varies_is_no_change(one: bytes, other: bytes) -> None:
    assert face(banner(one)) == face(banner(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"SSH-2.0-OpenSSH_9.7\r\n"),
        (HTTP % (1, b"nginx/1.2", 1, 1), HTTP % (1, b"nginx/1.3", 1, 1)),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
        (MYSQL % (b"8.0.36", b"salt"), MYSQL % (b"8.0.37", b"salt")),
        (b"220 mx Exim 4.96 Sat, 21 Nov 2026 07:00:00\r\n", b"220 mx Exim 4.97 Sat, 21 Nov 2026 07:00:00\r\n"),
        (b"* OK Dovecot ready.\r\n", b"* OK Cyrus ready.\r\n"),
        (b"\0\1", b"\0\2"),
        (b"a" * 256 + b"b", b"a" * 256 + b"c"),
    ],
)  # fmt: skip
def test_a_change_is_one(one: bytes, other: bytes) -> None:
    assert face(banner(one)) != face(banner(other))


def test_nothing_said_is_nothing() -> None:
    assert face(banner(b"")) is None


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"220 ready\r\nmore", "220 ready"),
        (b"\r\nlogin: ", "login: "),
        (b"\xff\x1b[31m", "\\xff\\x1b[31m"),
        (b"a" * 999, "a" * SAID_CHARS),
        (b"", ""),
    ],
)
def test_the_first_line_for_people(data: bytes, line: str) -> None:
    assert said(banner(data)) == line
