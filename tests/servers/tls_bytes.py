"""TLS made by hand, byte for byte: what no library would send."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Sequence

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TLS12 = 0x0303
AES128_GCM = 0x1301
ECDHE_RSA = 0xC02F
RSA = 0x009C
X25519 = 29

#: A SEQUENCE with the right outer length, and an inner one that is longer than all there is.
UNREADABLE = b"\x30\x82\x01\x00" + b"\x30\x84\x7f\xff\xff\xff" + bytes(250)


def record(kind: int, body: bytes, version: int = TLS12) -> bytes:
    return struct.pack("!BHH", kind, version, len(body)) + body


def records(kind: int, body: bytes, version: int = TLS12, size: int = 16_384) -> bytes:
    """A body of any length, cut into records."""
    return b"".join(record(kind, body[at : at + size], version) for at in range(0, len(body), size))


def alert(level: int, description: int) -> bytes:
    return record(21, bytes((level, description)))


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!HH", kind, len(data)) + data


def server_hello(version: int, suite: int, extensions: bytes = b"", session_id: bytes = b"") -> bytes:
    body = version.to_bytes(2, "big") + os.urandom(32) + bytes((len(session_id),)) + session_id
    body += suite.to_bytes(2, "big") + b"\0"
    return message(2, body + (struct.pack("!H", len(extensions)) + extensions if extensions else b""))


def certificate(chain: Sequence[bytes]) -> bytes:
    """Of TLS 1.2 and below."""
    listed = b"".join(len(der).to_bytes(3, "big") + der for der in chain)
    return message(11, len(listed).to_bytes(3, "big") + listed)


def flight(chain: Sequence[bytes], version: int = TLS12, suite: int = RSA) -> bytes:
    """ServerHello, Certificate, ServerHelloDone of TLS 1.2 and below."""
    messages = server_hello(version, suite) + certificate(chain) + message(14, b"")
    return records(22, messages, version)


def _expand(secret: bytes, label: str, context: bytes, size: int) -> bytes:
    """HKDF-Expand-Label for one block (RFC 8446 section 7.1)."""
    name = b"tls13 " + label.encode()
    info = struct.pack("!H", size) + bytes((len(name),)) + name + bytes((len(context),)) + context
    return hmac.digest(secret, info + b"\1", "sha256")[:size]


def client_parts(hello: bytes) -> tuple[bytes, dict[int, bytes]]:
    """(session id, extensions) of the handshake message in a ClientHello record."""
    at = 4 + 2 + 32
    session_id = hello[at + 1 : at + 1 + hello[at]]
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at]
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 2
    found: dict[int, bytes] = {}
    while at < end:
        kind, size = struct.unpack_from("!HH", hello, at)
        found[kind] = hello[at + 4 : at + 4 + size]
        at += 4 + size
    return session_id, found


def certificate13(chain: Sequence[bytes], extensions: bytes = b"") -> bytes:
    """Of TLS 1.3; `extensions` are those of the leaf."""
    entries = b""
    for number, der in enumerate(chain):
        own = extensions if number == 0 else b""
        entries += len(der).to_bytes(3, "big") + der + struct.pack("!H", len(own)) + own
    return message(11, b"\0" + len(entries).to_bytes(3, "big") + entries)


def flight13(client_hello: bytes, chain: Sequence[bytes]) -> bytes:
    """ServerHello of TLS 1.3, then EncryptedExtensions and Certificate, encrypted, with any bytes as certificates."""
    return sealed13(client_hello, message(8, b"\0\0") + certificate13(chain))


def sealed13(client_hello: bytes, plain: bytes, kind: int = 22, padding: int = 0, size: int = 16_000) -> bytes:
    """ServerHello of TLS 1.3, then whatever one likes, sealed, in records of `size`.

    `client_hello` is the whole record, with an X25519 key share in it (RFC 8446 sections 4 and 7).
    """
    hello = client_hello[5:]
    session_id, extensions = client_parts(hello)
    shares, at = extensions[51], 2
    theirs = b""
    while at < len(shares):
        group, size = struct.unpack_from("!HH", shares, at)
        if group == X25519:
            theirs = shares[at + 4 : at + 4 + size]
        at += 4 + size
    key = X25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    share = struct.pack("!HH", X25519, 32) + public
    ours = server_hello(TLS12, AES128_GCM, extension(43, b"\x03\x04") + extension(51, share), session_id)
    empty = hashlib.sha256().digest()
    early = hmac.digest(bytes(32), bytes(32), "sha256")
    shared = key.exchange(X25519PublicKey.from_public_bytes(theirs))
    handshake = hmac.digest(_expand(early, "derived", empty, 32), shared, "sha256")
    traffic = _expand(handshake, "s hs traffic", hashlib.sha256(hello + ours).digest(), 32)
    cipher, iv = AESGCM(_expand(traffic, "key", b"", 16)), _expand(traffic, "iv", b"", 12)
    out = record(22, ours) + record(20, b"\1")
    for number, start in enumerate(range(0, len(plain), size)):
        inner = plain[start : start + size] + bytes((kind,)) + bytes(padding)
        header = struct.pack("!BHH", 23, TLS12, len(inner) + 16)
        nonce = bytes(a ^ b for a, b in zip(iv, number.to_bytes(12, "big"), strict=True))
        out += header + cipher.encrypt(nonce, inner, header)
    return out
