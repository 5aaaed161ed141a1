"""IRC."""

from __future__ import annotations

import pytest

from stages.proto.recognise.irc import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b":irc.example.net NOTICE * :*** Looking up your hostname...\r\n",
    b"NOTICE AUTH :*** Checking Ident\r\n",
    b"ERROR :Closing Link: [192.0.2.1] (Throttled)\r\n",
    b":irc.example.net 451 GET :You have not registered\r\n",
]
REFUSED = [
    b":hello world\r\n",
    b"ERROR\r\n",
    b"NOTICE: x",
    b": NOTICE * :x\r\n",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
