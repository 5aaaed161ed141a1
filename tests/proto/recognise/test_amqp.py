"""AMQP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.amqp import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"AMQP\0\0\x09\1",
    b"AMQP\3\1\0\0",
    bytes.fromhex("01 0000 000001f8 000a 000a 00 09 000001d3"),
]
REFUSED = [
    b"AMQP\0\0\x09\2",
    b"AMQX",
    bytes.fromhex("01 0000 000001f8 000a 000b"),
    bytes.fromhex("01 0001"),
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
