"""Banner records as masscan's formats have them."""

from __future__ import annotations

import pytest

from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner as Record
from stages.scanner.masscan.banners import banner_of
from stages.scanner.masscan.items import Banner


def record(data: bytes, port: int = 80, transport: str = "tcp") -> Record:
    return Record("s", 5_999_999, "1.2.3.4", port, Outcome.OK, Phase.READ, transport=transport, data=data)


@pytest.mark.parametrize(
    ("data", "service"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
        (b"HTTP/1.1 200 OK\r\n", "http"),
        (b"220 ProFTPD Server\r\n", "ftp"),
        (b"220 mx.example ESMTP Postfix\r\n", "smtp"),
        (b"+OK ready\r\n", "pop"),
        (b"* OK [CAPABILITY IMAP4rev1]\r\n", "imap"),
        (b"RFB 003.008\n", "vnc"),
        (b"\xff\xfd\x18", "telnet"),
        (b"\x16\x03\x03\x00\x31", "ssl"),
        (b"hello", "unknown"),
        (b"x 220 ftp", "unknown"),
    ],
)
def test_what_it_is(data: bytes, service: str) -> None:
    assert banner_of(record(data)) == Banner(5, "1.2.3.4", "tcp", 80, service, data)


def test_udp_goes_by_its_port() -> None:
    found = banner_of(record(b"\0\1", 53, "udp"))
    assert found is not None
    assert (found.proto, found.service) == ("udp", "domain")


def test_who_says_nothing_has_none() -> None:
    assert banner_of(record(b"")) is None
