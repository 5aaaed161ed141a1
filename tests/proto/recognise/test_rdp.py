"""RDP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.rdp import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("030000130ed000001234000209080002000000"),
    bytes.fromhex("030000130ed000001234000300080005000000"),
    bytes.fromhex("0300000b06d00000123400"),
]
REFUSED = [
    bytes.fromhex("0300001611d00000000100c0010ac1020100c2020102"),
    bytes.fromhex("030000130ee0"),
    bytes.fromhex("030000130ed000001234000109"),
    bytes.fromhex("0200"),
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
