"""MQTT."""

from __future__ import annotations

import pytest

from stages.proto.recognise.mqtt import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"\x20\2\0\0",
    b"\x20\2\0\5",
    b"\x20\2\1\0",
    b"\x20\x09\0\0\x06\x22\0\x0a\x21\0\x14",
    b"\x20\3\0\x87\0",
]
REFUSED = [
    b"\x20\2\0\6",
    b"\x20\2\2\0",
    b"\x20\1",
    b"\x30\2",
    b"  20",
    b"\x20\3\0\7",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
