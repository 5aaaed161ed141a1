"""NNTP."""

from __future__ import annotations

import pytest

from stages.proto.starttls.nntp import begin
from stages.proto.starttls.prelude import StarttlsError
from tests.proto.starttls.peers import hear, walk

TURNS = [(b"200 ready\r\n", b"STARTTLS\r\n"), (b"382 go\r\n", b"")]


@pytest.mark.parametrize("size", [None, 1])
def test_the_way_to_tls(size: int | None) -> None:
    walk(begin(None), TURNS, size)


@pytest.mark.parametrize("said", [[b"400 no\r\n"], [b"201 a\r\n", b"580 no\r\n"]])
def test_a_server_that_does_not_offer_it(said: list[bytes]) -> None:
    one = begin(None)
    with pytest.raises(StarttlsError):
        hear(one, said)
    assert not one.ready
