"""Greetings with a code."""

from __future__ import annotations

import pytest

from stages.proto.recognise.reply import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"220 ready\r\n",
    b"220-one\r\n  two\r\n220 three\r\n",
    b"421 busy\r\n",
    b"220\r\n",
    b"554 no\r\n",
    b"220 " + b"x" * 4100,
]
REFUSED = [
    b"200 ready\r\n",
    b"2201 x",
    b"hello",
    b"220x",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
