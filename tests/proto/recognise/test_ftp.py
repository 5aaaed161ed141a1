"""FTP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.ftp import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"220 (vsFTPd 3.0.3)\r\n",
    b"220 ProFTPD Server (Debian) [::ffff:192.0.2.1]\r\n",
    b"220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\r\n220-You are 1 of 50\r\n220 bye\r\n",
    b"220-FileZilla Server 1.7.0\r\n220 Please visit\r\n",
    b"220 Serv-U Server v6.4 ready\r\n",
    b"530 Sorry, FTP is closed\r\n",
]
REFUSED = [
    b"220 ftp.example.com ESMTP\r\n",
    b"220 ready\r\n",
    b"230 FTP\r\n",
    b"FTP\r\n",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
