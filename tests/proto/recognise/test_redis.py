"""Redis."""

from __future__ import annotations

import pytest

from stages.proto.recognise.redis import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"+PONG\r\n",
    b"-ERR unknown command 'GET', with args beginning with: '/'\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-ERR wrong number of arguments for 'get' command\r\n",
    b"-DENIED Redis is running in protected mode\r\n",
    b"-ERR operation not permitted\r\n",
]
REFUSED = [
    b"+OK\r\n",
    b"-ERR too many connections\r\n",
    b"+POND",
    b":1\r\n",
    b"-ERRR",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
