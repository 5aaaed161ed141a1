"""ServerHello: all of it is kept. (How it is read in the middle of other bytes: test_clear, test_client.)"""

from __future__ import annotations

import struct

import pytest

from stages.proto.tls.codes import HELLO_RETRY_REQUEST
from stages.proto.tls.records import TlsFormatError
from stages.proto.tls.server_hello import ServerHello, chosen_protocol, extensions_of, parse_server_hello


def ext(kind: int, data: bytes) -> bytes:
    return struct.pack("!HH", kind, len(data)) + data


def hello(*extensions: bytes, version: int = 0x0303, random: bytes = bytes(range(32)), tail: bytes = b"") -> bytes:
    joined = b"".join(extensions)
    body = struct.pack("!H", version) + random + b"\4abcd" + b"\xc0\x2f\1"
    return body + (struct.pack("!H", len(joined)) + joined if extensions else b"") + tail


def test_every_field_and_every_byte() -> None:
    body = hello(ext(0xFF01, b"\0"), ext(16, b"\0\3\2h2"), ext(0, b""), ext(0xFF01, b"again"))
    one = parse_server_hello(body)
    assert (one.legacy_version, one.version, one.suite, one.compression) == (0x0303, 0x0303, 0xC02F, 1)
    assert (one.random, one.session_id, one.raw) == (bytes(range(32)), b"abcd", body)
    assert one.extensions == ((0xFF01, b"\0"), (16, b"\0\3\2h2"), (0, b""), (0xFF01, b"again"))
    assert (one.protocol, one.extension(0xFF01), one.extension(5), one.retry) == (b"h2", b"\0", None, False)
    facts = one.facts()
    assert facts["extensions"] == [0xFF01, 16, 0, 0xFF01]
    assert bytes.fromhex(facts["raw"]) == body
    assert (facts["version"], facts["cipher_suite_name"], facts["session_id"]) == (
        "TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", b"abcd".hex(),
    )  # fmt: skip


def test_ssl3_has_no_extensions() -> None:
    one = parse_server_hello(hello(version=0x0300))
    assert (one.version, one.extensions, one.share, one.cookie, one.protocol) == (0x0300, (), None, b"", None)


def test_tls13_says_its_version_in_an_extension() -> None:
    one = parse_server_hello(hello(ext(43, b"\3\4"), ext(51, b"\0\x1d\0\2ab")))
    assert (one.legacy_version, one.version, one.share) == (0x0303, 0x0304, (29, b"ab"))


def test_a_retry_request() -> None:
    wishes = (ext(43, b"\3\4"), ext(51, b"\0\x17"), ext(44, b"\0\3abc"))
    one = parse_server_hello(hello(*wishes, random=HELLO_RETRY_REQUEST))
    assert one.retry
    assert (one.share, one.cookie) == ((23, b""), b"abc")


@pytest.mark.parametrize("share", [b"", b"\0\x1d", b"\0\x1d\0\3ab", b"\0\x1d\0\1ab"])
def test_a_share_that_is_none(share: bytes) -> None:
    with pytest.raises(TlsFormatError, match="key share"):
        _ = parse_server_hello(hello(ext(51, share))).share


@pytest.mark.parametrize("kind", [44, 51])
def test_a_retry_request_with_bad_wishes(kind: int) -> None:
    one = parse_server_hello(hello(ext(kind, b"\0"), random=HELLO_RETRY_REQUEST))
    with pytest.raises(TlsFormatError):
        _ = one.share if kind == 51 else one.cookie


def test_every_cut_is_refused_or_is_a_whole_hello() -> None:
    """Only the hello without its extensions is a hello too (SSL 3.0); its last byte cut off, they have no length."""
    body = hello(ext(16, b"\0\3\2h2"))
    start = len(hello())
    for size in range(len(body)):
        if size in (start, start + 1):
            assert parse_server_hello(body[:size]).extensions == ()
        else:
            with pytest.raises(TlsFormatError):
                parse_server_hello(body[:size])


def test_extensions_that_do_not_fit_name_their_place() -> None:
    with pytest.raises(TlsFormatError, match="Here: extension 16 is longer"):
        list(extensions_of(b"\0\x10\0\5ab", 0, 6, "Here"))
    with pytest.raises(TlsFormatError, match="Here: an extension ends inside its header"):
        list(extensions_of(b"\0\x10\0", 0, 3, "Here"))


@pytest.mark.parametrize(("data", "name"), [(b"\0\3\2h2", b"h2"), (b"", None), (b"\0\3\3h2", None), (b"\0\1\0", b"")])
def test_the_chosen_protocol(data: bytes, name: bytes | None) -> None:
    assert chosen_protocol(data) == name


def test_what_is_longer_than_it_says_is_kept() -> None:
    one: ServerHello = parse_server_hello(hello(ext(0, b""), tail=b"more"))
    assert one.raw.endswith(b"more")
