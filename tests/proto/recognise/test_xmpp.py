"""XMPP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.xmpp import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",
    b"<stream:error>",
    b'<?xml version="1.0"?>\n<stream:stream>',
    b"</stream:stream>",
]
REFUSED = [
    b"<?xml version='1.0'?><rss>",
    b"<html>",
    b"<streams>",
    b"<?xml version>",
    b"<?xml" + b"x" * 1024,
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
