"""HTTP/2 without TLS: the preface of a gRPC server."""

from __future__ import annotations

import pytest

from stages.proto.recognise.http2 import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    bytes.fromhex("000006040000000000000500004000"),
    bytes.fromhex("000000040000000000"),
    bytes.fromhex("000012040000000000000300000080000400010000000500ffffff"),
]
REFUSED = [
    bytes.fromhex("000005040000000000"),
    bytes.fromhex("000006040100000000"),
    bytes.fromhex("000006060000000000"),
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
