"""SMTP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.smtp import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"220 mail.example.com ESMTP Postfix (Debian/GNU)\r\n",
    b"220-host.example.net ESMTP Exim 4.96\r\n220-no bulk\r\n220 mail\r\n",
    b"554 5.7.1 SMTP service not available\r\n",
    b"220 mx1.example.org ready\r\n",
    b"220 ftp.example.com ESMTP\r\n",
    b"220 MAILSRV Microsoft ESMTP MAIL Service ready\r\n",
]
REFUSED = [
    b"220 ProFTPD Server ready.\r\n",
    b"220 ready\r\n",
    b"220 mail.example.com FTP server ready\r\n",
    b"250 SMTP\r\n",
    b"+OK SMTP\r\n",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
