"""SIP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.sip import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"SIP/2.0 200 OK\r\n",
    b"SIP/2.0 400 Bad Request\r\n",
]
REFUSED = [
    b"SIP/2 200",
    b"OPTIONS sip:x SIP/2.0",
    b"SIP-2.0",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
