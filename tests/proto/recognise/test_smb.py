"""SMB."""

from __future__ import annotations

import pytest

from stages.proto.recognise.smb import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("000000d4fe534d4240000100"),
    bytes.fromhex("00000055ff534d4272"),
    bytes.fromhex("830000018f"),
    bytes.fromhex("00000034fd534d42"),
]
REFUSED = [
    bytes.fromhex("000000d4fe534d43"),
    bytes.fromhex("830000018e"),
    bytes.fromhex("000000d4fc"),
    bytes.fromhex("82000000"),
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
