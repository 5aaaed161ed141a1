"""JARM without a socket: the ten hellos, what an answer says, and the line made of ten.

That the result is that of pyjarm and zgrab2 on the same servers, tests/tlsgrab/test_jarm.py shows.
"""

from __future__ import annotations

from hashlib import sha256

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stages.proto.tls.hello import Template
from stages.proto.tls.jarm import HELLOS, MAX_ANSWER, NOTHING, ZERO, answer_of, hash_of, needed
from tests.servers.tls_bytes import certificate, client_parts, extension, record, server_hello


def suites(number: int) -> tuple[int, ...]:
    return HELLOS[number - 1].suites


def extensions(number: int) -> dict[int, bytes]:
    spec = HELLOS[number - 1]
    hello = Template(spec).render(b"a.test", bytes(32), bytes(32))
    assert hello[4:6] == (0x0302 if number == 6 else 0x0303).to_bytes(2, "big")
    return client_parts(hello)[1]


def test_suites_in_their_orders() -> None:
    forward = suites(1)
    assert len(forward) == len(set(forward)) == 69
    assert suites(2) == tuple(reversed(forward)) == suites(8)
    assert suites(3) == tuple(reversed(forward[:35]))
    assert suites(4) == forward[35:]
    assert suites(5)[:6] == (0x0A0A, forward[34], forward[35], forward[33], forward[36], forward[32])
    assert set(suites(5)) == {0x0A0A, *forward} == set(suites(10))
    assert suites(6) == suites(7) == forward
    assert set(forward) - set(suites(9)) == {0x1301, 0x1302, 0x1303, 0x1304, 0x1305}


def test_extensions_in_their_orders() -> None:
    usual = [0, 23, 1, 0xFF01, 10, 11, 35, 16, 13, 51, 45]
    assert list(extensions(3)) == list(extensions(4)) == list(extensions(6)) == usual
    for number in (1, 2, 7, 8, 9):
        assert list(extensions(number)) == [*usual, 43]
    assert list(extensions(5)) == [0x0A0A, *usual]
    assert list(extensions(10)) == [0x0A0A, *usual, 43]
    assert extensions(1)[43] == bytes.fromhex("06030303020301")
    assert extensions(2)[43] == bytes.fromhex("06030103020303")
    assert extensions(10)[43] == bytes.fromhex("0a0a0a0304030303020301")
    assert extensions(9)[43] == bytes.fromhex("080301030203030304")
    assert extensions(1)[16].endswith(b"\x08http/0.9")
    assert extensions(2)[16].startswith(b"\0\x3a\x08http/0.9")
    assert b"h2\x03" not in extensions(4)[16]
    assert extensions(1)[0] == b"\0\x09\0\0\x06a.test"
    assert len(extensions(5)[51]) == len(extensions(1)[51]) + 5
    assert [spec.record_version for spec in HELLOS] == [0x0303] * 5 + [0x0302] + [0x0301] * 4


REST = record(22, certificate([bytes(200)]))
ALPN = extension(0xFF01, b"\0") + extension(16, b"\0\3\2h2") + extension(23, b"")


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (record(22, server_hello(0x0303, 0xC02F, ALPN, bytes(32))) + REST, "c02f|0303|h2|ff01-0010-0017"),
        (record(22, server_hello(0x0301, 0x0005)) + REST, "0005|0301||"),
        (record(22, server_hello(0x0301, 0x0005, b"", bytes(32)) + certificate([bytes(200)])), "0005|0301||"),
        (record(22, server_hello(0x0303, 0x1301, extension(43, b"\3\4") + extension(51, bytes(36)), bytes(32))),
         "1301|0303||002b-0033"),
        (record(22, server_hello(0x0303, 0x0005, extension(16, b"\0\1\0"))) + REST, "0005|0303||0010"),
        (record(22, server_hello(0x0303, 0x0005, extension(35, b""))), "0005|0303||"),  # fewer than 85 bytes in all
        (b"\x15\x03\x03\x00\x02\x02\x28", NOTHING),
        (record(21, b"\1\x70") + record(22, server_hello(0x0303, 0xC02F)), NOTHING),
        (b"HTTP/1.1 400 Bad Request", NOTHING),
        (b"\x16\x03\x03\0\x40\2", NOTHING),
        (b"", NOTHING),
    ],
)  # fmt: skip
def test_what_an_answer_says(data: bytes, answer: str) -> None:
    assert answer_of(data) == answer
    assert answer_of(data[: needed(data)]) == answer, "that many bytes settle it"


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: record(22, server_hello(0x0303, 5, tail))))
def test_any_answer(data: bytes) -> None:
    said = answer_of(data)
    assert said.count("|") >= 3
    assert 0 < needed(data) <= max(MAX_ANSWER, len(data))
    assert len(hash_of([said] * 10)) == 62


def test_needed_grows_to_what_is_there() -> None:
    whole = record(22, server_hello(0x0303, 0xC02F, extension(16, b"\0\3\2h2") + extension(35, bytes(300)))) + REST
    seen = b""
    while len(seen) < needed(seen):
        seen = whole[: len(seen) + 1]
    assert answer_of(seen) == "c02f|0303|h2|0010-0023"
    assert len(seen) < len(whole)


def test_the_line() -> None:
    assert hash_of([NOTHING] * 10) == ZERO
    line = hash_of(["1301|0303||002b-0033", *["c02f|0302|h2|ff01"] * 8, "9999|03ff||"])
    assert line[:30] == "41d" + "29c" * 8 + "460"
    assert line[30:] == sha256(b"002b-0033" + b"h2ff01" * 8).hexdigest()[:32]
    with pytest.raises(ValueError, match="9 answers"):
        hash_of([NOTHING] * 9)
