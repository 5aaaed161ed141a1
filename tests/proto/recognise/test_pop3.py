"""POP3."""

from __future__ import annotations

import pytest

from stages.proto.recognise.pop3 import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"+OK Dovecot (Debian) ready.\r\n",
    b"+OK <1896.697170952@dbc.mtview.ca.us>\r\n",
    b"-ERR too many connections from your host\r\n",
    b"+OK\r\n",
]
REFUSED = [
    b"-ERR unknown command 'GET'\r\n",
    b"+PONG\r\n",
    b"+OKAY",
    b"-NOAUTH x\r\n",
    b"* OK\r\n",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
