"""JA3S as others print it, and our own as it stands."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stages.proto.tls.codes import HELLO_RETRY_REQUEST
from stages.proto.tls.fingerprints import fingerprints_of, ja3s, ja3s_text, raw
from stages.proto.tls.server_hello import parse_server_hello
from tests.servers.tls_bytes import extension, server_hello

CODES = st.integers(0, 0xFFFF)
KINDS = st.lists(CODES, max_size=20).map(tuple)


@pytest.mark.parametrize(
    ("legacy", "suite", "extensions", "text", "digest"),
    [  # zgrab2, lib/fingerprint/ja3s_test.go
        (771, 52393, (0, 65281, 11, 16), "771,52393,0-65281-11-16", "7f76f3e952a1bc7d407366fafe1db7ed"),
        (771, 4865, (51, 43), "771,4865,51-43", "eb1d94daa7e0344597e756a1fb6e7054"),
        (771, 4865, (), "771,4865,", "e8c07683aecf9b16e8e33f10a5161e4e"),
    ],
)
def test_ja3s_as_zgrab2_has_it(legacy: int, suite: int, extensions: tuple[int, ...], text: str, digest: str) -> None:
    assert ja3s_text(legacy, suite, extensions) == text
    assert ja3s(legacy, suite, extensions) == digest


def test_of_a_server_hello() -> None:
    body = server_hello(0x0303, 0x1301, extension(43, b"\3\4") + extension(51, b"\0\x1d\0\0"), bytes(32))[4:]
    assert fingerprints_of(parse_server_hello(body).facts()) == {
        "ja3s": ja3s(0x0303, 0x1301, (43, 51)),
        "fingerprint": "TLSv1.3_0303_1301_00_32_002b-0033",
    }
    old = parse_server_hello(server_hello(0x0301, 0x0005)[4:])
    assert fingerprints_of(old.facts())["fingerprint"] == "TLSv1.0_0301_0005_00_0_"


def test_of_none_and_of_a_retry() -> None:
    assert fingerprints_of(None) == {}
    body = bytearray(server_hello(0x0303, 0x1301, extension(43, b"\3\4"))[4:])
    body[2:34] = HELLO_RETRY_REQUEST
    assert fingerprints_of(parse_server_hello(bytes(body)).facts()) == {}


@given(CODES, CODES, st.integers(0, 255), st.integers(0, 255), KINDS)
def test_our_own_loses_nothing(legacy: int, suite: int, compression: int, session: int, kinds: tuple[int, ...]) -> None:
    version, *numbers, said = raw("TLSv1.2", legacy, suite, compression, session, kinds).split("_")
    assert version == "TLSv1.2"
    assert [int(n, 16) for n in numbers[:3]] == [legacy, suite, compression]
    assert int(numbers[3]) == session
    assert tuple(int(kind, 16) for kind in said.split("-") if kind) == kinds
