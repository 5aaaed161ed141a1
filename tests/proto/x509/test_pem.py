"""PEM: every certificate of a file, or which block cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.x509.pem import PemError, certificates, encode


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_there_and_back(ders: list[bytes], end: str) -> None:
    text = "Subject: x\n".join(["", *(encode(der) for der in ders)]).replace("\n", end)
    assert [der for _, der in certificates(text)] == ders


def test_other_blocks_and_headers_are_left_out() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n"
    old = encode(b"abc").replace("CERTIFICATE-----\n", "CERTIFICATE-----\nProc-Type: 4\n\n", 1)
    assert certificates(key + old) == [(4, b"abc")]


@pytest.mark.parametrize(
    ("text", "block", "line", "problem"),
    [
        (encode(b"a") + "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", 2, 4, "not base64"),
        (encode(b"a") + "x\n-----BEGIN CERTIFICATE-----\nAAAA\n", 2, 5, "no END"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", 1, 1, "empty"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----", 1, 1, "no END before"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END X-----", 1, 1, "something else"),
        ("\n-----END CERTIFICATE-----", 1, 2, "without its BEGIN"),
    ],
)
def test_which_block_cannot_be_read(text: str, block: int, line: int, problem: str) -> None:
    with pytest.raises(PemError, match=problem) as caught:
        certificates(text)
    assert (caught.value.block, caught.value.line) == (block, line)
