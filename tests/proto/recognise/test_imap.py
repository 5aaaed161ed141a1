"""IMAP."""

from __future__ import annotations

import pytest

from stages.proto.recognise.imap import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS] Dovecot (Debian) ready.\r\n",
    b"* PREAUTH hello\r\n",
    b"* BYE too many\r\n",
]
REFUSED = [
    b"* NO\r\n",
    b"*OK",
    b"+OK",
    b"* OKAY",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
