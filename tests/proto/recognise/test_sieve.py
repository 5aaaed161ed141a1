"""ManageSieve."""

from __future__ import annotations

import pytest

from stages.proto.recognise.sieve import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n"SIEVE" "fileinto"\r\n',
]
REFUSED = [
    b'"SIEVE" "x"',
    b"IMPLEMENTATION",
    b"OK\r\n",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
