"""PostgreSQL."""

from __future__ import annotations

import pytest

from stages.proto.starttls.postgres import SSL_REQUEST, begin
from stages.proto.starttls.prelude import StarttlsError
from tests.proto.starttls.peers import walk


def test_the_way_to_tls() -> None:
    walk(begin(None), [(b"S", b"")], None, SSL_REQUEST)
    assert b"\0\0\0\x08" + (1234 << 16 | 5679).to_bytes(4, "big") == SSL_REQUEST


def test_what_comes_with_the_answer_is_kept() -> None:
    one = begin(None)
    one.receive(b"Sx")
    assert (one.ready, one.rest) == (True, b"x")


@pytest.mark.parametrize(("said", "why"), [(b"N", "not offered"), (b"E\0\0\0", "no answer"), (b"HTTP", "no answer")])
def test_a_server_that_does_not_offer_it(said: bytes, why: str) -> None:
    with pytest.raises(StarttlsError, match=why):
        begin(None).receive(said)
