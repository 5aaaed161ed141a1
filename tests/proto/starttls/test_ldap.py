"""LDAP."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.starttls.ldap import REQUEST, begin
from stages.proto.starttls.prelude import StarttlsError
from tests.proto.starttls.peers import walk

GOOD = bytes.fromhex("300c02010178070a010004000400")


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("answer", [GOOD, b"\x30\x84\0\0\0\x0c" + GOOD[2:]], ids=["short", "long length"])
def test_the_way_to_tls(size: int | None, answer: bytes) -> None:
    walk(begin(None), [(answer, b"")], size, REQUEST)


def test_the_request() -> None:
    assert bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037" == REQUEST


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (GOOD[:9] + b"\x34" + GOOD[10:], "result code 52"),
        (GOOD[:5] + b"\x61" + GOOD[6:], "no LDAP answer"),
        (b"\x30\x80", "no LDAP answer"),
        (b"\x30\x84\x7f\xff\xff\xff", "no LDAP answer"),
        (b"\x30\x03\2\1\1", "no LDAP answer"),
        (b"220 mx.test\r\n", "no LDAP answer"),
    ],
)
def test_a_server_that_does_not_offer_it(said: bytes, why: str) -> None:
    with pytest.raises(StarttlsError, match=why):
        begin(None).receive(said)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=6))
def test_any_bytes(pieces: list[bytes]) -> None:
    """However wrong: nothing more is said, and it is ready only behind a whole message."""
    one, heard = begin(None), b""
    with suppress(StarttlsError):
        for piece in [b"\x30", *pieces]:
            if not one.ready:
                heard += piece
                assert one.receive(piece) == b""
    assert heard.endswith(one.rest)
    assert not one.ready or b"\x78" in heard[: len(heard) - len(one.rest)]
