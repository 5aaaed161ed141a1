"""MongoDB."""

from __future__ import annotations

import pytest

from stages.proto.recognise.mongodb import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("4d010000 01000000 01000000 01000000 08000000"),
    bytes.fromhex("4d010000 01000000 02000000 dd070000 00000000"),
    b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 85\r\n\r\n"
    b"It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n",
]
REFUSED = [
    bytes.fromhex("4d010000 01000000 01000000 d4070000"),
    bytes.fromhex("10000000"),
    bytes.fromhex("00000010"),
    b"HTTP/1.0 200 OK\r\nConnection: close\r\nServer: x",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
