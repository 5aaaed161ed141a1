"""PostgreSQL."""

from __future__ import annotations

import pytest

from stages.proto.recognise.postgres import answer, recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"E\0\0\0\x77SFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol 65363.19778\0",
    b"E\0\0\0\x30SFATAL\0C28000\0Mno entry\0",
    b"R\0\0\0\x08\0\0\0\0",
    b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0",
    b"R\0\0\0\x0c\0\0\0\5abcd",
    b"EFATAL:  unsupported frontend protocol\n\0",
    b"N\0\0\0\x30SWARNING\0VWARNING\0",
    b"E\0\0\0\x40S\xd0\x92\xd0\x90\xd0\x96\xd0\x9d\xd0\x9e\0VFATAL\0",
]
REFUSED = [
    b"ERROR\r\n",
    b"E\0\0\1\0XFATAL\0",
    b"E\0\0\0\x04S",
    b"R\0\0\0\x08\0\0\0\x63",
    b"R\0\0\x7f\x08",
    b"NOTICE",
    b"E\0\0\0\x77SFATAL\0XFATAL\0",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)


def test_the_answer_to_an_ssl_request() -> None:
    assert answer(b"S")
    assert answer(b"N")
    assert not any(map(answer, (b"", b"SS", b"E", b"SSH-2.0")))
