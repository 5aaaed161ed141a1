"""LDAP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.ldap import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("300c02010161070a010004000400"),
    bytes.fromhex("3084000000100201076584000000070a01000400"),
    bytes.fromhex("30818a0201016481 84"),
    bytes.fromhex("302402010078"),
]
REFUSED = [
    bytes.fromhex("300c02010160"),
    bytes.fromhex("300c0401"),
    bytes.fromhex("3080"),
    bytes.fromhex("3085"),
    bytes.fromhex("300c0205"),
    b"0\r\n",
    b"30",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
