"""Git."""

from __future__ import annotations

import pytest

from stages.proto.recognise.git import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"001aERR access denied: /x.git",
    b"000eversion 1\n",
    b"00e5" + b"7217a7c7e582c46cec22a130adf4b9d7d950fba0 HEAD\0",
]
REFUSED = [
    b"001aERX",
    b"xyz",
    b"00e5refs",
    b"001a 1234",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
