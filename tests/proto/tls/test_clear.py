"""The clear reader against hand-made and recorded bytes, whole and byte by byte."""

from __future__ import annotations

import ssl
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.tls.certificate import parse_certificate
from stages.proto.tls.clear import ClearReader
from stages.proto.tls.codes import HELLO_RETRY_REQUEST
from stages.proto.tls.messages import MAX_MESSAGE
from stages.proto.tls.records import MAX_FRAGMENT, TlsFormatError
from stages.proto.tls.server_hello import parse_server_hello


def record(kind: int, body: bytes, version: bytes = b"\x03\x03") -> bytes:
    return bytes([kind]) + version + struct.pack("!H", len(body)) + body


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def server_hello(version: int = 0x0303, random: bytes = bytes(range(32)), extensions: bytes = b"") -> bytes:
    body = version.to_bytes(2, "big") + random + b"\x04abcd" + b"\xc0\x2f" + b"\0"
    return body + (struct.pack("!H", len(extensions)) + extensions if extensions else b"")


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!HH", kind, len(data)) + data


def certificate(*chain: bytes) -> bytes:
    listed = b"".join(len(der).to_bytes(3, "big") + der for der in chain)
    return len(listed).to_bytes(3, "big") + listed


TLS12 = (
    record(22, message(2, server_hello()) + message(11, certificate(b"leaf", b"intermediate"))[:9])
    + record(22, message(11, certificate(b"leaf", b"intermediate"))[9:] + message(14, b""))
    + record(20, b"\1")
    + record(22, b"encrypted finished, not to be read")
)
TLS13 = record(22, message(2, server_hello(extensions=extension(43, b"\x03\x04")))) + record(23, b"encrypted")


@given(st.lists(st.integers(1, 40)))
def test_tls12_chain_in_any_chunking(sizes: list[int]) -> None:
    reader = ClearReader()
    rest = TLS12
    for size in [*sizes, *([1] * len(TLS12))]:
        if rest:
            reader.feed(rest[:size])
            rest = rest[size:]
    assert reader.chain == [b"leaf", b"intermediate"]
    assert reader.server_hello is not None
    assert reader.server_hello.suite == 0xC02F
    assert reader.server_hello.session_id == b"abcd"
    assert reader.done
    assert reader.alert is None


def test_tls13_is_deaf_after_server_hello() -> None:
    reader = ClearReader()
    reader.feed(TLS13)
    assert reader.server_hello is not None
    assert reader.server_hello.version == 0x0304
    assert reader.server_hello.legacy_version == 0x0303
    assert reader.chain is None
    assert reader.done
    reader.feed(b"anything at all")  # no longer read


def test_hello_retry_request_is_followed_by_a_second_hello() -> None:
    retry = message(2, server_hello(random=HELLO_RETRY_REQUEST, extensions=extension(43, b"\x03\x04")))
    reader = ClearReader()
    reader.feed(record(22, retry) + record(20, b"\1"))
    assert not reader.done
    assert not reader.hello_seen
    reader.feed(TLS13)
    assert reader.done
    assert reader.server_hello is not None
    assert reader.server_hello.random == bytes(range(32))


def test_alert_before_hello() -> None:
    reader = ClearReader()
    reader.feed(record(21, b"\x02\x28"))
    assert reader.alert == "handshake_failure"
    assert reader.server_hello is None


@pytest.mark.parametrize(
    ("alerts", "told", "ends"),
    [
        (b"\x01\x70", "unrecognized_name", False),
        (b"\x01\x70\x02\x28", "handshake_failure", True),
        (b"\x02\x28\x01\x70", "handshake_failure", True),
        (b"\x01\x00", "close_notify", True),
        (b"\x02\xc8", "alert_200", True),
    ],
)
def test_the_alert_that_ends_it_counts(alerts: bytes, told: str, ends: bool) -> None:
    reader = ClearReader()
    for at in range(0, len(alerts), 2):
        reader.feed(record(21, alerts[at : at + 2]))
    assert (reader.alert, reader.alert_ends) == (told, ends)


def test_when_no_chain_can_come_any_more() -> None:
    hello = message(2, server_hello())
    for behind, over in (
        (b"", False),
        (message(0, b""), False),
        (message(23, b"data"), False),
        (message(11, certificate(b"leaf")), True),
        (message(12, b"key"), True),
        (message(14, b""), True),
        (hello, True),
    ):
        reader = ClearReader()
        reader.feed(record(22, hello + behind))
        assert reader.chain_over is over, behind
        assert reader.hello_seen
    assert not ClearReader().hello_seen


def test_the_first_hello_counts() -> None:
    reader = ClearReader()
    reader.feed(record(22, message(2, server_hello()) + message(2, server_hello(random=bytes(32)))))
    assert reader.server_hello is not None
    assert reader.server_hello.random == bytes(range(32))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "content type 72"),
        (b"\x16\x02\x00\x00\x05hello", "record version"),
        (b"\x16\x03\x03" + struct.pack("!H", MAX_FRAGMENT + 1), "record of"),
        (record(22, b"\x0b" + (MAX_MESSAGE + 1).to_bytes(3, "big")), "at most"),
        (record(22, message(2, b"short")), "ServerHello of 5 bytes"),
        (record(22, message(2, server_hello(extensions=struct.pack("!HH", 43, 9)))), "longer than the extensions"),
        (record(22, message(11, b"\0\0\5\0\0\x09xx")), "longer than its list"),
    ],
)
def test_what_is_not_tls_is_an_error(data: bytes, problem: str) -> None:
    with pytest.raises(TlsFormatError, match=problem):
        ClearReader().feed(data)


@given(st.binary(max_size=200))
def test_any_bytes_end_in_facts_or_a_format_error(data: bytes) -> None:
    reader = ClearReader()
    try:
        reader.feed(b"\x16\x03\x03" + struct.pack("!H", len(data)) + data)
    except TlsFormatError:
        return
    assert reader.chain is None or isinstance(reader.chain, list)


@given(st.binary(max_size=120))
def test_parsers_raise_nothing_else(data: bytes) -> None:
    for parse in (parse_server_hello, parse_certificate):
        with suppress(TlsFormatError):
            assert parse(data) is not None


def test_facts_are_json_ready() -> None:
    facts = parse_server_hello(server_hello(extensions=extension(65281, b"\0") + extension(11, b"\1\0"))).facts()
    assert facts["extensions"] == [65281, 11]
    assert facts["cipher_suite_name"] == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert facts["version"] == "TLSv1.2"


def test_openssl_agrees_on_a_real_hello() -> None:
    """A real server's flight, from Python's ssl over memory BIOs without a certificate: an alert in the clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client = client_context.wrap_bio(client_in, client_out, server_hostname="example.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    incoming.write(client_out.read())
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    reader = ClearReader()
    reader.feed(outgoing.read())
    assert reader.alert == "handshake_failure"
