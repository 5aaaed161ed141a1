"""HTTP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.http import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\r\n",
    b"HTTP/1.0 400 Bad Request\r\n\r\n",
    b"HTTP/2 200\r\n",
    b"<!DOCTYPE HTML PUBLIC>",
    b"<html><head>",
]
REFUSED = [
    b"HTTP/x.1 200",
    b"RTSP/1.0 200 OK\r\n",
    b"HTTP-1.1 200",
    b"<?xml version",
    b"GET / HTTP/1.1",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
