"""BGP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.bgp import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"\xff" * 16 + bytes.fromhex("001d0104fde800b4c0000201"),
    b"\xff" * 16 + bytes.fromhex("0015030600"),
    b"\xff" * 16 + bytes.fromhex("001304"),
]
REFUSED = [
    b"\xff" * 15 + b"\0",
    b"\xff" * 16 + bytes.fromhex("001201"),
    b"\xff" * 16 + bytes.fromhex("001d06"),
    b"\xff\xfd",
    b"\xff" * 17,
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
