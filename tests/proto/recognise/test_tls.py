"""TLS."""

from __future__ import annotations

import pytest

from stages.proto.recognise.tls import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("160303007a02000076"),
    bytes.fromhex("15030300020228"),
    bytes.fromhex("1503010002010000"),
    bytes.fromhex("16030040000200"),
]
REFUSED = [
    bytes.fromhex("160303007a01000076"),
    bytes.fromhex("15030300030228"),
    bytes.fromhex("15030300020328"),
    bytes.fromhex("1604030002"),
    bytes.fromhex("160305"),
    bytes.fromhex("160303ffff02"),
    bytes.fromhex("17030300"),
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
