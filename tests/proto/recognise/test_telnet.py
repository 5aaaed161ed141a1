"""Telnet."""

from __future__ import annotations

import pytest

from stages.proto.recognise.telnet import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("fffd18fffd20fffd23fffd27"),
    bytes.fromhex("fffb01fffb03"),
    bytes.fromhex("fffa1801fff0"),
]
REFUSED = [
    b"\xff\xff\xff",
    b"\xff\xd8\xff",
    b"\xff\xfd\x60",
    b"login: ",
    b"\xff\xfe<\0",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
