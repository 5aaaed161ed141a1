"""IMAP."""

from __future__ import annotations

import pytest

from stages.proto.starttls.imap import begin
from stages.proto.starttls.prelude import StarttlsError
from tests.proto.starttls.peers import hear, walk

TURNS = [(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", b"a STARTTLS\r\n"), (b"* more\r\na OK go\r\n", b"")]


@pytest.mark.parametrize("size", [None, 1])
def test_the_way_to_tls(size: int | None) -> None:
    walk(begin(None), TURNS, size)


@pytest.mark.parametrize("said", [[b"* BYE\r\n"], [b"* OK\r\n", b"a BAD what\r\n"], [b"* OK\r\n", b"a NO\r\n"]])
def test_a_server_that_does_not_offer_it(said: list[bytes]) -> None:
    one = begin(None)
    with pytest.raises(StarttlsError):
        hear(one, said)
    assert not one.ready
