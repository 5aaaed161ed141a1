"""DNS over TCP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.dns import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("002f 1234 8580 0001 0001 0000 0000 0776657273696f6e0462696e64000010 0003"),
    bytes.fromhex("000c 0000 8184 0000 0000 0000 0000"),
    bytes.fromhex("001e 1234 8105 0001 0000 0000 0000 07"),
]
REFUSED = [
    bytes.fromhex("002f 1234 0100"),
    bytes.fromhex("000b"),
    bytes.fromhex("ffff"),
    bytes.fromhex("002f 1234 8540"),
    bytes.fromhex("002f 1234 8580 0002 0001 0000 0000"),
    bytes.fromhex("002f 1234 8580 0001 0101 0000 0000"),
    bytes.fromhex("002f 1234 9980"),
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
