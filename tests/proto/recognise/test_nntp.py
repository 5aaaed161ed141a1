"""NNTP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.nntp import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"200 news.example.com InterNetNews NNRP server INN 2.7.0 ready (posting ok)\r\n",
    b"201 server ready - no posting allowed\r\n",
    b"200 Leafnode NNTP Daemon, version 1.11\r\n",
    b"502 no news for you\r\n",
]
REFUSED = [
    b"200 OK\r\n",
    b"220 news\r\n",
    b"2000 news\r\n",
    b"200-news\r\n",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
