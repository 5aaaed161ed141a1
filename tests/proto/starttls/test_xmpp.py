"""XMPP."""

from __future__ import annotations

import pytest

from stages.proto.starttls.prelude import MAX_PRELUDE_BYTES, StarttlsError
from stages.proto.starttls.xmpp import begin
from tests.proto.starttls.peers import hear, walk

STREAM = b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>"
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
FEATURES = (
    STREAM
    + b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
)
OPENING = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" version='1.0' to='chat.test'>"
)


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    "proceed", [b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", b"<proceed xmlns='urn:x'></proceed>"]
)
def test_the_way_to_tls(size: int | None, proceed: bytes) -> None:
    walk(begin(b"chat.test"), [(FEATURES, STARTTLS), (proceed, b"")], size, OPENING)


def test_without_a_name() -> None:
    assert b"to='localhost'" in begin(None).opening()


@pytest.mark.parametrize(
    "said",
    [
        [STREAM + b"<stream:features/>"],
        [STREAM + b"<stream:features><bind/></stream:features>"],
        [STREAM + b"<stream:error><host-unknown/></stream:error>"],
        [FEATURES, b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"],
        [b"220 smtp\r\n"],
        [b"<" + b"x" * MAX_PRELUDE_BYTES],
    ],
)
def test_a_server_that_does_not_offer_it(said: list[bytes]) -> None:
    one = begin(None)
    with pytest.raises(StarttlsError):
        hear(one, said)
    assert not one.ready
