"""SMTP."""

from __future__ import annotations

import pytest

from stages.proto.starttls.prelude import StarttlsError
from stages.proto.starttls.smtp import begin
from tests.proto.starttls.peers import hear, walk

TURNS = [
    (b"220-mx.test ESMTP\r\n220 ready\r\n", b"EHLO longline\r\n"),
    (b"250-mx.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n", b"STARTTLS\r\n"),
    (b"220 2.0.0 Ready to start TLS\r\n", b""),
]


@pytest.mark.parametrize("size", [None, 1])
def test_the_way_to_tls(size: int | None) -> None:
    walk(begin(None), TURNS, size)


@pytest.mark.parametrize(
    "said",
    [
        [b"220 mx\r\n", b"250-mx\r\n250 NOSTARTTLS\r\n"],
        [b"554 no\r\n"],
        [b"220 mx\r\n", b"250 STARTTLS\r\n", b"454 no\r\n"],
    ],
)
def test_a_server_that_does_not_offer_it(said: list[bytes]) -> None:
    one = begin(None)
    with pytest.raises(StarttlsError):
        hear(one, said)
    assert not one.ready
