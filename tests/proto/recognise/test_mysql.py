"""MySQL and MariaDB."""

from __future__ import annotations

import pytest

from stages.proto.recognise.mysql import recognise
from tests.proto.recognise.tables import is_known, is_refused

HANDSHAKE = (
    b"\x5b\0\0\0\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0"
    + bytes.fromhex("1e000000")
    + b"abcdefgh\0"
    + b"\xfe\xf7"
    + bytes(40)
)

KNOWN = [
    HANDSHAKE,
    b"\x45\0\0\0\xff\x6a\x04" + b"Host '192.0.2.1' is not allowed to connect to this MariaDB server!",
    b"\x17\0\0\0\xff\x10\x04" + b"#08004Too many conns",
]
REFUSED = [
    b"\x4a\0\0\1\x0a5.5",
    b"\x4a\0\0\0\x0b",
    b"\x4a\0\0\0\x0a\x01\x02",
    b"\x4a\0\1",
    b"\x04\0\0\0\xff\x01\0x",
    b"\0\0\0\0\x0a",
    b"\x05\0\0\0\x0a5.5\0\0\0",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
