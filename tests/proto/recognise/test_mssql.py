"""SQL Server."""

from __future__ import annotations

import pytest

from stages.proto.recognise.mssql import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("0401002b0000010000001a00060100200001020021000103002200000400220001ff0c000fa0"),
]
REFUSED = [
    bytes.fromhex("1201002b"),
    bytes.fromhex("0401002b00000100ff"),
    bytes.fromhex("0401012b"),
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
