"""FTP."""

from __future__ import annotations

import pytest

from stages.proto.starttls.ftp import begin
from stages.proto.starttls.prelude import StarttlsError
from tests.proto.starttls.peers import hear, walk

TURNS = [(b"220-hello\r\n220 ready\r\n", b"AUTH TLS\r\n"), (b"234 go\r\n", b"")]


@pytest.mark.parametrize("size", [None, 1])
def test_the_way_to_tls(size: int | None) -> None:
    walk(begin(None), TURNS, size)


@pytest.mark.parametrize("said", [[b"421 full\r\n"], [b"220 a\r\n", b"530 log in first\r\n"]])
def test_a_server_that_does_not_offer_it(said: list[bytes]) -> None:
    one = begin(None)
    with pytest.raises(StarttlsError):
        hear(one, said)
    assert not one.ready
