"""Certificate messages of all versions, compressed ones, and bombs."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.tls.certificate import (
    DECOMPRESSORS,
    decompress_certificate,
    parse_certificate,
    parse_certificate13,
    parse_status,
)
from stages.proto.tls.messages import MAX_MESSAGE
from stages.proto.tls.records import TlsFormatError

CHAINS = st.lists(st.binary(max_size=40), max_size=6)


def size3(data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + data


def entry(der: bytes, extensions: bytes = b"") -> bytes:
    return size3(der) + struct.pack("!H", len(extensions)) + extensions


def ext(kind: int, data: bytes) -> bytes:
    return struct.pack("!HH", kind, len(data)) + data


def compressed(body: bytes, size: int | None = None, algorithm: int = 1, data: bytes | None = None) -> bytes:
    packed = zlib.compress(body) if data is None else data
    return struct.pack("!H", algorithm) + (len(body) if size is None else size).to_bytes(3, "big") + size3(packed)


@given(CHAINS)
def test_of_tls12(chain: list[bytes]) -> None:
    assert parse_certificate(size3(b"".join(map(size3, chain)))) == chain


@given(CHAINS, st.binary(max_size=9))
def test_of_tls13(chain: list[bytes], context: bytes) -> None:
    body = bytes((len(context),)) + context + size3(b"".join(entry(der, ext(99, b"x")) for der in chain))
    got = parse_certificate13(body)
    assert (got.certificates, got.ocsp, got.scts) == (chain, None, None)


def test_the_staple_and_the_timestamps_are_those_of_the_leaf() -> None:
    leaf = entry(b"leaf", ext(5, b"\1" + size3(b"answer")) + ext(18, b"list"))
    issuer = entry(b"issuer", ext(5, b"\1" + size3(b"another")) + ext(18, b"other"))
    got = parse_certificate13(b"\0" + size3(leaf + issuer))
    assert (got.certificates, got.ocsp, got.scts) == ([b"leaf", b"issuer"], b"answer", b"list")


def test_every_cut_of_either_is_refused() -> None:
    for parse, body in (
        (parse_certificate, size3(size3(b"leaf") + size3(b"issuer"))),
        (parse_certificate13, b"\0" + size3(entry(b"leaf", ext(18, b"list")) + entry(b"issuer"))),
        (decompress_certificate, compressed(b"whatever")),
        (parse_status, b"\1" + size3(b"answer")),
    ):
        for size in range(len(body)):
            with pytest.raises(TlsFormatError):
                parse(body[:size])


@pytest.mark.parametrize(
    "body",
    [
        size3(b"\0\0\5abc"),
        size3(b"\0\0"),
    ],
)
def test_lengths_inside_that_lie(body: bytes) -> None:
    with pytest.raises(TlsFormatError):
        parse_certificate(body)
    with pytest.raises(TlsFormatError):
        parse_certificate13(b"\0" + body)


def test_extensions_of_a_certificate_that_lie() -> None:
    with pytest.raises(TlsFormatError, match="extensions of a certificate"):
        parse_certificate13(b"\0" + size3(size3(b"leaf") + b"\0\5abc"))


def test_a_status_of_another_type() -> None:
    assert parse_status(b"\2" + size3(b"many")) is None
    assert parse_status(b"\1" + size3(b"")) == b""


def test_a_compressed_chain() -> None:
    body = b"\0" + size3(entry(bytes(5_000)))
    assert decompress_certificate(compressed(body)) == body
    assert 1 in DECOMPRESSORS


def test_a_bomb_is_inflated_no_further_than_it_says() -> None:
    """16 MiB in 16 KiB: what it says is too much, or it says less than it holds."""
    packed = zlib.compress(bytes(2**24), 9)
    with pytest.raises(TlsFormatError, match=f"at most {MAX_MESSAGE}"):
        decompress_certificate(compressed(b"", MAX_MESSAGE + 1, data=packed))
    made: list[int] = []
    inflate = DECOMPRESSORS[1]
    out = inflate(packed, 1_000)
    made.append(len(out))
    assert made == [1_001]
    with pytest.raises(TlsFormatError, match="more than the 1000 bytes"):
        decompress_certificate(compressed(b"", 1_000, data=packed))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (compressed(b"x" * 50, 60), "not the 60 bytes"),
        (compressed(b"x" * 50, data=zlib.compress(b"x" * 50)[:-6]), "compressed certificate: it ends inside"),
        (compressed(b"x" * 50, data=b"no zlib"), "compressed certificate: Error -3"),
        (compressed(b"x" * 50, algorithm=9), "compression 9 was not offered"),
    ],
)
def test_what_does_not_inflate(body: bytes, error: str) -> None:
    with pytest.raises(TlsFormatError, match=error):
        decompress_certificate(body)
