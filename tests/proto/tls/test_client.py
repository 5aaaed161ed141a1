"""The client without sockets: against OpenSSL over memory BIOs, and against servers made by hand, byte for byte."""

from __future__ import annotations

import os
import random
import ssl
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.proto.tls.client import (
    LINGER,
    MAX_CHANGES,
    MAX_EMPTY_RECORDS,
    MAX_HELLO_REQUESTS,
    MAX_WARNINGS,
    Client,
)
from stages.proto.tls.facts import facts_of
from stages.proto.tls.foreign import MAX_TOLD_BYTES
from stages.proto.tls.hello import HelloSpec
from stages.proto.tls.messages import MAX_CHAIN_BYTES, MAX_MESSAGE
from stages.proto.tls.offers import HELLOS, MODERN, WIDE, limited
from stages.proto.tls.script import Stop, script_of
from tests.servers import tls_bytes
from tests.servers.certificates import identity, server_context
from tests.servers.tls_bytes import (
    alert,
    certificate,
    certificate13,
    extension,
    flight,
    flight13,
    message,
    record,
    records,
    sealed13,
    server_hello,
)
from tests.servers.tls_memory import VERSIONS, Server, talk

CHAIN = [b"leaf" * 300, b"issuer" * 200]
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

#: Mutated flights in one run of the tests; `make fuzz` asks for a million.
FUZZ = int(os.environ.get("LONGLINE_FUZZ") or 20_000)


def client(spec: HelloSpec = MODERN, name: bytes | None = b"server.test", **options: Any) -> Client:
    script = script_of(spec, **options)
    return Client(script, name, os.urandom(script.random_bytes))


def opened(**options: Any) -> tuple[Client, bytes]:
    one = client(**options)
    return one, one.opening()


def feed(one: Client, data: bytes, sizes: Sequence[int] = ()) -> list[bytes | None]:
    """What it says to each piece, until it says that it is over."""
    said: list[bytes | None] = []
    for size in [*sizes, len(data)]:
        piece, data = data[:size], data[size:]
        if piece:
            said.append(one.receive(piece))
            if said[-1] is None:
                break
    return said


# -- real handshakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_and_key(version: str, kind: str, fresh: bool, size: int | None) -> None:
    if kind == "ed25519" and version in ("TLSv1.0", "TLSv1.1"):
        return  # RFC 8422 section 5.10: not below TLS 1.2
    who = identity(kind=kind)
    server = Server(server_context(who, VERSIONS[version], alpn=["http/1.1"]))
    one = client(replace(MODERN, alpn=(b"h2", b"http/1.1")), fresh=fresh)
    assert talk(one, server, size)
    assert one.done
    assert one.chain_seen == who.chain
    facts = facts_of(one)
    assert (facts["version"], facts["alpn"], facts["error"], facts["alert"]) == (version, "http/1.1", None, None)
    assert facts["sni"] == "server.test"
    # It is not shaken hands with, and hears a clean close: ssl says EOF, not an error of the protocol.
    assert not server.shaken
    assert server.error is None or server.error.reason is None


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "secp521r1"])
def test_a_hello_retry_request_is_answered(curve: str, fresh: bool, size: int | None) -> None:
    context = server_context(identity(), ssl.TLSVersion.TLSv1_3)
    context.set_ecdh_curve(curve)
    one = client(fresh=fresh)
    assert talk(one, Server(context), size)
    assert one.chain_seen == identity().chain
    assert one.retry is not None
    facts = facts_of(one)["server_hello"]
    assert facts["group"] == {"prime256v1": 23, "secp384r1": 24, "secp521r1": 25}[curve]
    assert bytes.fromhex(facts["retry"]) == one.retry.raw


def test_the_second_hello_is_the_first_one_with_another_share() -> None:
    one, first = opened()
    body = b"\3\3" + RETRY + b"\x20" + bytes(32) + b"\x13\1\0"
    wishes = extension(43, b"\3\4") + extension(51, b"\0\x18") + extension(44, b"\0\3abc")
    second = one.receive(record(22, message(2, body + struct.pack("!H", len(wishes)) + wishes)))
    assert second is not None
    assert second.startswith(b"\x14\3\3\0\1\1\x16\3\3"), "change_cipher_spec, then a record of version 3.3"
    old, new = first[5:], second[6 + 5 :]
    assert first[:3] == b"\x16\3\1"
    assert new[6:38] == old[6:38], "the random"
    before, after = tls_bytes.client_parts(old), tls_bytes.client_parts(new)
    assert before[0] == after[0], "the session id"
    assert {kind: data for kind, data in after[1].items() if kind not in (44, 51)} == {
        kind: data for kind, data in before[1].items() if kind != 51
    }
    assert after[1][44] == b"\0\3abc"
    assert after[1][51][2:4] == b"\0\x18"


@pytest.mark.parametrize("suite", [0x1301, 0x1302, 0x1303])
def test_every_suite_of_tls13(suite: int) -> None:
    one = client(replace(MODERN, suites=(suite,)))
    assert talk(one, Server(server_context(identity(), ssl.TLSVersion.TLSv1_3)))
    assert one.server_hello is not None
    assert one.server_hello.suite == suite
    assert one.chain_seen == identity().chain


def test_a_server_without_a_certificate() -> None:
    context = server_context(identity(), ssl.TLSVersion.TLSv1_2, ciphers="AECDH-AES256-SHA:@SECLEVEL=0")
    one = client(WIDE)
    assert talk(one, Server(context))
    assert one.done
    assert one.chain_seen is None
    assert "anon" in facts_of(one)["cipher_suite"]


@pytest.mark.parametrize("cipher", ["eNULL", "AES128-SHA", "ECDHE-RSA-CHACHA20-POLY1305"])
@pytest.mark.parametrize("spec", ["modern", "wide"])
def test_weak_suites_and_strong_ones(cipher: str, spec: str) -> None:
    who = identity(kind="rsa")
    context = server_context(who, ssl.TLSVersion.TLSv1_2, ciphers=f"{cipher}:@SECLEVEL=0")
    one = client(HELLOS[spec])
    assert talk(one, Server(context))
    if cipher == "eNULL" and spec == "modern":
        assert (one.alert, one.chain_seen) == ("handshake_failure", None)
    else:
        assert one.chain_seen == who.chain


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_client_certificate_is_required_only_later(version: str) -> None:
    who = identity()
    one = client()
    assert talk(one, Server(server_context(who, VERSIONS[version], client=ssl.CERT_REQUIRED)))
    assert one.chain_seen == who.chain
    assert one.asked == (version == "TLSv1.3")


@pytest.mark.parametrize("version", VERSIONS)
def test_hello_mode_stops_behind_the_hello(version: str) -> None:
    one = client(stop=Stop.HELLO)
    assert talk(one, Server(server_context(identity(kind="rsa"), VERSIONS[version])), 1)
    assert one.done
    assert one.chain_seen is None
    assert one.where == "hello"
    assert facts_of(one)["version"] == version


def test_only_the_versions_that_were_asked_for() -> None:
    spec = limited(MODERN, 0x0302, 0x0302)
    assert spec is not None
    one = client(spec)
    context = server_context(identity())
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    assert talk(one, Server(context))
    assert facts_of(one)["version"] == "TLSv1.1"
    one = client(spec)
    assert talk(one, Server(server_context(identity(), ssl.TLSVersion.TLSv1_2)))
    assert (one.alert, one.alert_ends, one.done) == ("protocol_version", True, False)


def test_no_name_and_another() -> None:
    heard: list[str | None] = []
    context = server_context(identity())
    context.sni_callback = lambda _, name, __: heard.append(name)
    for name in (b"other.test", None):
        assert talk(client(name=name), Server(context))
    assert heard == ["other.test", None]


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_large_chains(version: str) -> None:
    who = identity(middles=5, padding=40_000)
    assert sum(map(len, who.chain)) > 200_000
    one = client()
    assert talk(one, Server(server_context(who, VERSIONS[version])))
    assert one.chain_seen == who.chain


# -- servers made by hand ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=40), st.sampled_from([0x0300, 0x0301, 0x0302, 0x0303, 0x0304]))
def test_whatever_the_pieces_the_chain_is_the_same(sizes: list[int], version: int) -> None:
    one, hello = opened()
    data = flight13(hello, CHAIN) if version == 0x0304 else flight(CHAIN, version, 0x002F)
    assert feed(one, data, sizes)[-1] is None
    assert (one.chain_seen, one.error, one.done) == (CHAIN, None, True)
    assert one.server_hello is not None
    assert one.server_hello.version == version


@pytest.mark.parametrize("size", [1, 2, 100])
def test_messages_cut_over_records_of_any_size(size: int) -> None:
    one, hello = opened()
    assert feed(one, records(22, server_hello(0x0303, 0x002F) + certificate(CHAIN), size=size))[-1] is None
    assert one.chain_seen == CHAIN
    one, hello = opened()
    data = sealed13(hello, message(8, b"\0\0") + certificate13(CHAIN), size=max(size, 10), padding=3)
    assert feed(one, data)[-1] is None
    assert one.chain_seen == CHAIN


def test_what_the_farewell_says() -> None:
    for version, alerts in ((0x0303, b"\x5a\x00"), (0x0301, b"\x5a\x00"), (0x0300, b"\x00")):
        one, _ = opened()
        feed(one, flight(CHAIN, version, 0x002F))
        assert one.farewell() == b"".join(record(21, bytes((1, each)), version) for each in alerts)
    one, hello = opened()
    feed(one, flight13(hello, CHAIN))
    assert one.farewell()[:5] == b"\x17\3\3\0\x13", "sealed"
    one, _ = opened()
    feed(one, record(22, message(99, b"")))
    assert one.farewell() == alert(2, 10)
    one, _ = opened()
    feed(one, b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(MAX_TOLD_BYTES))
    assert one.farewell() == b"", "nothing to who does not speak TLS"


def test_the_staple_of_tls12_is_waited_for_where_it_is_promised() -> None:
    answer = b"OCSP answer"
    status = message(22, b"\1" + len(answer).to_bytes(3, "big") + answer)
    hello = server_hello(0x0303, 0x002F, extension(5, b"") + extension(18, b"list"))
    one, _ = opened()
    assert feed(one, record(22, hello + certificate(CHAIN))) == [b""]
    assert one.idle == LINGER, "the chain is here already"
    assert feed(one, record(22, status)) == [None]
    assert (one.ocsp, one.scts, one.chain_seen) == (answer, b"list", CHAIN)
    one, _ = opened()
    assert feed(one, record(22, hello + certificate(CHAIN) + message(12, b"key exchange"))) == [None]
    assert (one.ocsp, one.chain_seen, one.done) == (None, CHAIN, True)
    one, _ = opened()
    feed(one, record(22, hello + certificate(CHAIN)))
    one.eof()
    assert (one.error, one.chain_seen) == (None, CHAIN)


def test_the_staple_and_the_timestamps_of_tls13() -> None:
    one, hello = opened()
    extensions = extension(5, b"\1\0\0\6answer") + extension(18, b"list")
    plain = message(8, b"\0\x0d" + extension(16, b"\0\3\2h2") + extension(0, b""))
    plain += message(13, b"\0\0\0") + certificate13(CHAIN, extensions)
    feed(one, sealed13(hello, plain))
    assert (one.ocsp, one.scts, one.protocol, one.asked) == (b"answer", b"list", b"h2", True)
    facts = facts_of(one)
    assert facts["server_hello"]["encrypted_extensions"] == [16, 0]
    assert facts["server_hello"]["client_certificate"] is True
    assert facts["alpn"] == "h2"


def test_a_compressed_chain() -> None:
    one, hello = opened()
    body = certificate13(CHAIN)[4:]
    packed = zlib.compress(body)
    plain = message(8, b"\0\0")
    plain += message(25, b"\0\1" + len(body).to_bytes(3, "big") + len(packed).to_bytes(3, "big") + packed)
    assert feed(one, sealed13(hello, plain)) == [None]
    assert one.chain_seen == CHAIN
    assert facts_of(one)["server_hello"]["compressed_certificate"] == 1


def test_an_old_server_and_an_abbreviated_chain() -> None:
    """SSL 3.0, export, a certificate message without a certificate."""
    one, _ = opened()
    feed(one, flight([], 0x0300, 0x0003))
    assert (one.chain_seen, one.done) == ([], True)
    facts = facts_of(one)
    assert (facts["version"], facts["cipher_suite"]) == ("SSLv3", "TLS_RSA_EXPORT_WITH_RC4_40_MD5")


def test_alerts_at_any_point() -> None:
    for before, phase in (
        (b"", "hello"),
        (record(22, server_hello(0x0303, 0x002F)), "certificate"),
        (record(22, server_hello(0x0303, 0x002F) + certificate(CHAIN)[:50]), "certificate"),
    ):
        one, _ = opened()
        assert feed(one, before + alert(2, 80))[-1] is None
        assert (one.alert, one.alert_ends, one.where, one.error) == ("internal_error", True, phase, None)
        assert one.farewell() == b""
    one, hello = opened()
    feed(one, sealed13(hello, b"\2\x74", kind=21))
    assert (one.alert, one.alert_ends) == ("certificate_required", True)
    one, hello = opened()
    assert feed(one, sealed13(hello, b"\1\x5a", kind=21))[-1] == b""
    assert (one.alert, one.alert_ends) == ("user_canceled", False)


def test_a_warning_ends_nothing() -> None:
    one, _ = opened()
    assert feed(one, alert(1, 112) + flight(CHAIN))[-1] is None
    assert (one.chain_seen, one.alert, one.alert_ends) == (CHAIN, "unrecognized_name", False)


@pytest.mark.parametrize("cut", [3, 5, 40, 60, 700])
def test_the_end_in_the_middle(cut: int) -> None:
    one, _ = opened()
    feed(one, flight(CHAIN)[:cut])
    one.eof()
    assert one.error == "the peer closed in the middle of the handshake"


def test_the_end_without_a_byte_says_nothing() -> None:
    one, _ = opened()
    one.eof()
    one.give_up()
    assert (one.error, one.done, one.where) == (None, False, "hello")


# -- what is not TLS ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 1_000])
@pytest.mark.parametrize("end", ["eof", "give_up"])
def test_what_is_not_tls_is_named_however_it_is_cut(size: int, end: str) -> None:
    answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    one, _ = opened()
    said = feed(one, answer, [size] * len(answer))
    assert set(said) == {b""}
    assert one.idle == LINGER
    getattr(one, end)()
    assert one.error == f"not TLS but plain text (HTTP): content type 72; the answer begins with {answer.hex()}"
    assert one.farewell() == b""


def test_no_more_of_it_is_read_than_is_told() -> None:
    one, _ = opened()
    assert feed(one, b"x" * 1_000, [10]) == [b"", None]
    assert one.error is not None
    assert one.error.endswith((b"x" * MAX_TOLD_BYTES).hex())


def test_an_answer_in_sslv2() -> None:
    one, _ = opened()
    feed(one, b"\x80\x03\x00\x00\x01")
    one.eof()
    assert one.error == "not TLS but an SSLv2 error: content type 128; the answer begins with 8003000001"


def test_nonsense_behind_tls_is_a_broken_protocol() -> None:
    one, _ = opened()
    assert feed(one, record(22, server_hello(0x0303, 0x002F)) + b"HTTP/1.1")[-1] is None
    assert one.error == "content type 72"


# -- hostile peers -----------------------------------------------------------------------------------------------------


def until_over(one: Client, piece: bytes, most: int) -> int:
    """How many times the same piece is read until it is over."""
    for number in range(1, most + 1):
        if one.receive(piece) is None:
            return number
    raise AssertionError(f"not over after {most}")


@pytest.mark.parametrize(
    ("piece", "most", "error"),
    [
        (record(22, b""), MAX_EMPTY_RECORDS, "empty handshake records"),
        (record(21, b""), MAX_EMPTY_RECORDS, "empty alert records"),
        (alert(1, 112), MAX_WARNINGS, "warnings"),
        (record(22, message(0, b"")), MAX_HELLO_REQUESTS, "HelloRequests"),
    ],
    ids=["empty", "empty alerts", "warnings", "renegotiation"],
)
def test_endless_nothings_end(piece: bytes, most: int, error: str) -> None:
    one, _ = opened()
    assert until_over(one, piece, 100) == most + 1
    assert one.error == f"more than {most} {error}"
    assert one.farewell() == alert(2, 10)


def test_endless_changes_of_cipher_end() -> None:
    one, hello = opened()
    feed(one, sealed13(hello, b""))
    assert until_over(one, record(20, b"\1"), 100) == MAX_CHANGES  # one came with the ServerHello
    assert one.error == f"more than {MAX_CHANGES} change_cipher_spec records"


def test_endless_padding_ends() -> None:
    one, hello = opened()
    feed(one, sealed13(hello, bytes(100), kind=0))
    assert one.error == "a record of nothing but padding"


@pytest.mark.parametrize("size", [MAX_MESSAGE + 1, 2**24 - 1])
def test_a_length_of_16_mb(size: int) -> None:
    one, _ = opened()
    assert feed(one, record(22, server_hello(0x0303, 0x002F) + b"\x0b" + size.to_bytes(3, "big"))) == [None]
    assert one.error == f"handshake message of {size} bytes, at most {MAX_MESSAGE}"


def test_a_chain_of_10_000() -> None:
    chain = [bytes((number >> 8, number & 255)) for number in range(10_000)]
    one, _ = opened()
    assert feed(one, flight(chain))[-1] is None
    assert one.chain_seen == chain


def test_the_largest_chain() -> None:
    one, _ = opened()
    chain = [bytes(MAX_CHAIN_BYTES)]
    feed(one, flight(chain))
    assert one.chain_seen == chain


def test_a_bomb_in_a_compressed_chain() -> None:
    packed = zlib.compress(bytes(2**24), 9)
    for size, error in ((2**24 - 1, f"at most {MAX_MESSAGE}"), (1_000, "more than the 1000 bytes")):
        one, hello = opened()
        body = b"\0\1" + size.to_bytes(3, "big") + len(packed).to_bytes(3, "big") + packed
        assert feed(one, sealed13(hello, message(8, b"\0\0") + message(25, body)))[-1] is None
        assert one.error is not None
        assert error in one.error


HELLO12 = server_hello(0x0303, 0x002F)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (record(22, HELLO12 + HELLO12), "a second ServerHello"),
        (record(22, certificate(CHAIN)), "handshake message 11 before the ServerHello"),
        (record(22, HELLO12 + message(20, bytes(12))), "handshake message 20 before the certificate"),
        (record(22, HELLO12 + message(4, bytes(12))), "handshake message 4 before the certificate"),
        (record(22, HELLO12) + record(20, b"\1"), "change_cipher_spec before the certificate"),
        (record(22, HELLO12) + record(23, b"data"), "application data before the certificate"),
        (record(23, b"data"), "application data before the certificate"),
        (record(20, b"\1"), "change_cipher_spec before the certificate"),
        (record(22, HELLO12 + message(11, b"\0\0\5abc")), "length of the certificate list"),
        (record(22, server_hello(0x0305, 0x002F)), "version 0x0305 was not offered"),
        (record(22, server_hello(0x0303, 0x002F, extension(43, b"\3\4"))), "TLS 1.3 with TLS_RSA_WITH_AES_128_CBC_SHA"),
        (record(22, server_hello(0x0303, 0x1301, extension(43, b"\3\4"))), "without a key share"),
        (
            record(22, server_hello(0x0303, 0x1301, extension(43, b"\3\4") + extension(51, b"\0\x17\0\1a"))),
            "a key share in group 23, where we sent none",
        ),
        (
            record(22, server_hello(0x0303, 0x1301, extension(43, b"\3\4") + extension(51, b"\0\x1d\0\1a"))),
            "key share of 1 bytes in group 29",
        ),
        (
            record(22, server_hello(0x0303, 0x1301, extension(43, b"\3\4") + extension(51, b"\0\x1d\0\1a")) + b"more"),
            "bytes in the clear behind the ServerHello",
        ),
        (record(22, b"\2\0\0\3abc"), "ServerHello of 3 bytes"),
    ],
)
def test_what_breaks_the_protocol_is_told(data: bytes, error: str) -> None:
    one, _ = opened()
    assert feed(one, data)[-1] is None
    assert one.error is not None
    assert error in one.error
    assert not one.done
    assert one.farewell()[:1] == b"\x15"


@pytest.mark.parametrize(
    ("plain", "error"),
    [
        (certificate13(CHAIN)[:4] + b"\1", None),
        (message(20, bytes(32)), "handshake message 20 before the certificate"),
        (message(8, b"\0\0") * 2, "handshake message 8 before the certificate"),
        (message(13, b"\0\0\0") * 2, "handshake message 13 before the certificate"),
        (message(8, b"\0\1"), "length of EncryptedExtensions"),
        (message(8, b"\0\4\0\0\0\5"), "EncryptedExtensions: extension 0 is longer"),
        (message(11, b"\0\0\0\1"), "length of the certificate list"),
        (HELLO12, "a second ServerHello"),
    ],
)
def test_what_breaks_it_behind_the_keys(plain: bytes, error: str | None) -> None:
    one, hello = opened()
    said = feed(one, sealed13(hello, plain))
    if error is None:
        assert said[-1] == b""
    else:
        assert said[-1] is None
        assert one.error is not None
        assert error in one.error
        assert one.farewell()[:1] == b"\x17", "the alert is sealed"


def test_a_record_that_the_key_does_not_open() -> None:
    one, hello = opened()
    data = bytearray(flight13(hello, CHAIN))
    data[-1] ^= 1
    assert feed(one, bytes(data))[-1] is None
    assert one.error == "a record that its key does not open"


def test_handshake_records_in_the_clear_behind_the_keys() -> None:
    one, hello = opened()
    feed(one, sealed13(hello, b""))
    assert one.receive(record(22, certificate13(CHAIN))) is None
    assert one.error == "a handshake record in the clear behind the ServerHello"


def retry(group: int | None = 23, suite: int = 0x1301, cookie: bytes = b"") -> bytes:
    wishes = extension(43, b"\3\4") + (extension(51, group.to_bytes(2, "big")) if group is not None else b"")
    wishes += extension(44, len(cookie).to_bytes(2, "big") + cookie) if cookie else b""
    body = b"\3\3" + RETRY + b"\0" + suite.to_bytes(2, "big") + b"\0" + struct.pack("!H", len(wishes)) + wishes
    return records(22, message(2, body))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (retry() + retry(24), "a second HelloRetryRequest"),
        (retry(29), "HelloRetryRequest for group 29"),
        (retry(256), "HelloRetryRequest for group 256"),
        (retry(None), "a HelloRetryRequest that asks for nothing"),
        (retry(suite=0x002F), "was not offered"),
        (retry(cookie=bytes(2**15 + 1)), "a cookie of 32769 bytes"),
        (
            retry() + record(22, server_hello(0x0303, 0x1302, extension(43, b"\3\4") + extension(51, b"\0\x17\0\1a"))),
            "another suite than in the HelloRetryRequest",
        ),
    ],
)
def test_retry_requests_that_are_wrong(data: bytes, error: str) -> None:
    one, _ = opened()
    assert feed(one, data)[-1] is None
    assert one.error is not None
    assert error in one.error


def test_a_retry_request_for_a_cookie_only() -> None:
    one, _ = opened()
    second = feed(one, retry(None, cookie=b"abc"))[-1]
    assert second is not None
    assert b"\0\x2c\0\5\0\3abc" in second
    one.eof()
    facts = facts_of(one)
    assert (facts["version"], facts["error"]) == ("TLSv1.3", "the peer closed in the middle of the handshake")


# -- fuzz --------------------------------------------------------------------------------------------------------------


def mutated(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(6):
            case 0 if at < len(out):
                out[at] = rng.randrange(256)
            case 1 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 2:
                del out[at : at + rng.randint(1, 30)]
            case 3:
                out[at:at] = rng.randbytes(rng.randint(1, 30))
            case 4:
                out[at:at] = out[at : at + rng.randint(1, 60)]
            case 5:
                del out[at:]
        if not out:
            out += b"\x16"
    return bytes(out)


@pytest.mark.timeout(max(180, FUZZ // 500))
def test_mutated_flights_end_in_facts() -> None:
    """No crash, no hang, nothing beyond the bounds, and the same whatever the pieces."""
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    short = [b"leaf", b"issuer"]
    wishes = extension(5, b"") + extension(16, b"\0\3\2h2")
    seeds = [
        flight(short),
        flight(short, 0x0300, 0x0005),
        record(22, server_hello(0x0303, 0x002F, wishes) + certificate(short) + message(22, b"\1\0\0\2ok")),
        alert(1, 112) + flight(short),
        retry() + flight(short),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x80\x03\x00\x00\x01",
    ]
    script = script_of(MODERN)
    entropy = os.urandom(script.random_bytes)
    sealed = Client(script, None, entropy).opening()
    packed = zlib.compress(certificate13(short)[4:])
    size = len(certificate13(short)) - 4
    compressed = message(25, b"\0\1" + size.to_bytes(3, "big") + len(packed).to_bytes(3, "big") + packed)
    for number in range(FUZZ):
        if number % 4 == 0:  # what is mutated under the keys; `sealed13` costs what all else does
            plain = message(8, b"\0\0") + (compressed if number % 8 else certificate13(short, extension(18, b"x")))
            data = sealed13(sealed, mutated(rng, plain))
        else:
            data = mutated(rng, rng.choice(seeds))
        results = []
        for sizes in ([], [rng.randint(1, 50) for _ in range(8)]):
            one = Client(script, None, entropy)
            one.opening()
            over = feed(one, data, sizes)[-1] is None
            if not over:
                one.eof()
            farewell = one.farewell()
            assert len(farewell) <= 64, seed
            assert len(one.head) <= MAX_TOLD_BYTES, seed
            if over:
                assert one.done or one.alert_ends or one.error is not None, seed
            results.append((facts_of(one), one.chain_seen, one.where, farewell))
        assert results[0] == results[1], (seed, data.hex())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=80), max_size=8), st.sampled_from([b"", b"\x16\x03\x03", b"\x15\3\1\0\2"])
)
def test_any_bytes_end_in_facts(pieces: list[bytes], start: bytes) -> None:
    one, _ = opened()
    for piece in [start, *pieces] if start else pieces:
        if one.receive(piece) is None:
            break
    else:
        one.eof()
    assert set(facts_of(one)) >= {"alert", "error", "version", "cipher_suite", "alpn", "sni", "server_hello"}
