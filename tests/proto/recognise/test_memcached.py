"""memcached."""

from __future__ import annotations

import pytest

from stages.proto.recognise.memcached import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"VERSION 1.6.18\r\n",
    b"ERROR\r\nERROR\r\nERROR\r\n",
    b"CLIENT_ERROR line too long\r\n",
    b"SERVER_ERROR out of memory\r\n",
]
REFUSED = [
    b"VERSION x",
    b"ERROR\r\n\r\n",
    b"ERROR :Closing Link",
    b"STAT x",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
