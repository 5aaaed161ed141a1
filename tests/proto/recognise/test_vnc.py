"""VNC."""

from __future__ import annotations

import pytest

from stages.proto.recognise.vnc import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"RFB 003.008\n",
    b"RFB 003.889\n",
    b"RFB 005.000\n",
]
REFUSED = [
    b"RFB 3.8\n",
    b"RFB 003.008\r\n",
    b"rfb 003.008\n",
    b"RFC",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
