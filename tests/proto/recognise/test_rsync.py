"""rsync."""

from __future__ import annotations

import pytest

from stages.proto.recognise.rsync import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4\n",
    b"@RSYNCD: 30.0\n",
]
REFUSED = [
    b"@RSYNCD: OK",
    b"@ERROR",
    b"RSYNCD",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
