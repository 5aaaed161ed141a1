"""The key schedule beside the trace of RFC 8448 section 3, and beside HKDF of cryptography."""

from __future__ import annotations

import hmac
import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from stages.proto.tls.records import TlsFormatError
from stages.proto.tls.schedule import SUITES13, Protection

#: RFC 8448 section 3, simple 1-RTT handshake: the shared secret, the transcript hash up to the ServerHello, and what
#: follows from them.
SHARED = bytes.fromhex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d")
TRANSCRIPT = bytes.fromhex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8")
SECRET = bytes.fromhex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac")
SERVER_KEY = bytes.fromhex("3fce516009c21727d0f2e4e86ee403bc")
SERVER_IV = bytes.fromhex("5d313eb2671276ee13000b30")
CLIENT_KEY = bytes.fromhex("dbfaa693d1762c5b666af5d950258d01")
CLIENT_IV = bytes.fromhex("5bd3c71b836e0b76bb73265f")


def test_the_trace_of_rfc_8448() -> None:
    suite = SUITES13[0x1301]
    secret = suite.handshake_secret(SHARED)
    assert secret == SECRET
    for label, key, iv in ((suite.server_label, SERVER_KEY, SERVER_IV), (suite.client_label, CLIENT_KEY, CLIENT_IV)):
        ours, theirs = suite.protection(secret, label, TRANSCRIPT), Protection(suite.aead(key), iv, 16)
        assert theirs.open(ours.seal(22, b"hello")) == (22, b"hello")


@pytest.mark.parametrize("code", SUITES13)
def test_the_schedule_is_hkdf(code: int) -> None:
    suite = SUITES13[code]
    algorithm = hashes.SHA256() if suite.hash_size == 32 else hashes.SHA384()
    name = "sha256" if suite.hash_size == 32 else "sha384"

    def expand(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
        info = size.to_bytes(2, "big") + bytes((6 + len(label),)) + b"tls13 " + label
        info += bytes((len(context),)) + context
        return HKDFExpand(algorithm=algorithm, length=size, info=info).derive(secret)

    shared, transcript = os.urandom(48), os.urandom(suite.hash_size)
    early = hmac.digest(bytes(suite.hash_size), bytes(suite.hash_size), name)
    secret = hmac.digest(expand(early, b"derived", suite.new(b"").digest(), suite.hash_size), shared, name)
    assert suite.handshake_secret(shared) == secret
    traffic = expand(secret, b"s hs traffic", transcript, suite.hash_size)
    theirs = Protection(
        suite.aead(expand(traffic, b"key", b"", suite.key_size)), expand(traffic, b"iv", b"", 12), suite.tag
    )
    ours = suite.protection(secret, suite.server_label, transcript)
    for number in range(3):
        content = os.urandom(number * 50)
        assert ours.open(theirs.seal(22, content)) == (22, content)


def sides(code: int = 0x1301) -> tuple[Protection, Protection]:
    suite = SUITES13[code]
    key, iv = os.urandom(suite.key_size), os.urandom(12)
    return Protection(suite.aead(key), iv, suite.tag), Protection(suite.aead(key), iv, suite.tag)


@pytest.mark.parametrize("at", [0, 1, 4, 6, -1])
def test_any_changed_bit_is_refused(at: int) -> None:
    ours, theirs = sides()
    sealed = bytearray(theirs.seal(22, b"hello"))
    sealed[at] ^= 1
    with pytest.raises(TlsFormatError, match="does not open"):
        ours.open(bytes(sealed))


def test_records_in_another_order_are_refused() -> None:
    ours, theirs = sides()
    theirs.seal(22, b"first")
    with pytest.raises(TlsFormatError, match="does not open"):
        ours.open(theirs.seal(22, b"second"))


def test_shorter_than_a_tag() -> None:
    with pytest.raises(TlsFormatError, match="does not open"):
        sides()[0].open(b"\x17\3\3\0\3abc")


def test_padding_is_taken_off() -> None:
    ours, theirs = sides()
    sealed = theirs.seal(0, b"hello\x16" + bytes(100))  # content, its type, and zeros
    assert ours.open(sealed) == (22, b"hello")
    with pytest.raises(TlsFormatError, match="nothing but padding"):
        ours.open(theirs.seal(0, bytes(100)))
