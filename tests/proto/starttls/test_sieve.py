"""ManageSieve."""

from __future__ import annotations

import pytest

from stages.proto.starttls.prelude import StarttlsError
from stages.proto.starttls.sieve import begin
from tests.proto.starttls.peers import hear, walk

GREETING = b'"IMPLEMENTATION" "x"\r\n"STARTTLS"\r\n"SASL" "PLAIN"\r\nOK "ready"\r\n'
TURNS = [(GREETING, b"STARTTLS\r\n"), (b'OK "go"\r\n', b"")]


@pytest.mark.parametrize("size", [None, 1])
def test_the_way_to_tls(size: int | None) -> None:
    walk(begin(None), TURNS, size)


@pytest.mark.parametrize("said", [[b'"SASL" ""\r\nOK\r\n'], [b"BYE\r\n"], [b'"STARTTLS"\r\nOK\r\n', b"NO\r\n"]])
def test_a_server_that_does_not_offer_it(said: list[bytes]) -> None:
    one = begin(None)
    with pytest.raises(StarttlsError):
        hear(one, said)
    assert not one.ready
