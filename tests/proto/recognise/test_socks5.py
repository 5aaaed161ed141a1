"""SOCKS 5."""

from __future__ import annotations

import pytest

from stages.proto.recognise.socks5 import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"\5\0",
    b"\5\xff",
    b"\5\2",
]
REFUSED = [
    b"\4\0",
    b"\5\3",
    b"5",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
