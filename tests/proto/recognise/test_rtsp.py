"""RTSP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.rtsp import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n",
    b"RTSP/2.0 505 x",
]
REFUSED = [
    b"RTSP/1.0 OK",
    b"HTTP/1.1 200",
    b"RTSP 1.0",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
