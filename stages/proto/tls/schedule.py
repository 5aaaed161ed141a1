"""The key schedule of TLS 1.3 up to the handshake keys (RFC 8446 section 7.1), and the record protection (5.2, 5.3).

HMAC is written out over hashlib (RFC 2104), since a hash costs 0.4 us and `hmac.digest` 3.4 us: what does not depend on
the connection (the early secret, padded) is computed once per suite.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from stages.proto.tls.codes import APPLICATION_DATA, BAD_RECORD_MAC, TLS12, UNEXPECTED_MESSAGE
from stages.proto.tls.records import HEADER, TlsFormatError, record

_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))

#: Bytes of the AEADs' nonces and tags; CCM_8 has a shorter tag.
_NONCE: Final = 12
_TAG: Final = 16
_SHORT_TAG: Final = 8


def _label(size: int, label: bytes, context: int) -> bytes:
    """HkdfLabel up to its context of `context` bytes."""
    name = b"tls13 " + label
    return size.to_bytes(2, "big") + b"%c" % len(name) + name + b"%c" % context


class Suite:
    """What a suite of TLS 1.3 fixes: hash, AEAD, labels."""

    def __init__(self, hash_name: str, key_size: int, aead: Callable[[bytes], Any], tag: int = _TAG) -> None:
        new: Callable[[bytes], Any] = getattr(hashlib, hash_name)
        self.new = new
        self.hash_size = size = new(b"").digest_size
        self.block_size = new(b"").block_size
        self.key_size = key_size
        self.aead = aead
        self.tag = tag
        self.server_label = _label(size, b"s hs traffic", size)
        self.client_label = _label(size, b"c hs traffic", size)
        self.key_label = _label(key_size, b"key", 0) + b"\1"
        self.iv_label = _label(_NONCE, b"iv", 0) + b"\1"
        self._pad_inner = b"\x36" * (self.block_size - size)
        self._pad_outer = b"\x5c" * (self.block_size - size)
        early = hmac.digest(bytes(size), bytes(size), hash_name)
        derived = hmac.digest(early, _label(size, b"derived", size) + new(b"").digest() + b"\1", hash_name)
        self._derived_inner = derived.translate(_INNER) + self._pad_inner
        self._derived_outer = derived.translate(_OUTER) + self._pad_outer

    def handshake_secret(self, shared: bytes) -> bytes:
        """HKDF-Extract of the shared secret under the derived early secret."""
        new = self.new
        out: bytes = new(self._derived_outer + new(self._derived_inner + shared).digest()).digest()
        return out

    def protection(self, handshake_secret: bytes, label: bytes, transcript: bytes) -> Protection:
        """The keys of one direction; `label` is `server_label` or `client_label`, `transcript` a hash."""
        new, pad_inner, pad_outer = self.new, self._pad_inner, self._pad_outer
        inner = handshake_secret.translate(_INNER) + pad_inner
        outer = handshake_secret.translate(_OUTER) + pad_outer
        traffic = new(outer + new(inner + label + transcript + b"\1").digest()).digest()
        inner = traffic.translate(_INNER) + pad_inner
        outer = traffic.translate(_OUTER) + pad_outer
        key = new(outer + new(inner + self.key_label).digest()).digest()[: self.key_size]
        iv = new(outer + new(inner + self.iv_label).digest()).digest()[:_NONCE]
        return Protection(self.aead(key), iv, self.tag)


class Protection:
    """The records of one direction. Sequence numbers start at 0 (RFC 8446 section 5.3)."""

    __slots__ = ("_aead", "_iv", "_sequence", "_tag")

    def __init__(self, aead: Any, iv: bytes, tag: int) -> None:
        self._aead = aead
        self._iv = int.from_bytes(iv, "big")
        self._sequence = 0
        self._tag = tag

    def open(self, sealed: bytes) -> tuple[int, bytes]:
        """(content type, content) of a record with its header. Raises TlsFormatError."""
        nonce = (self._iv ^ self._sequence).to_bytes(_NONCE, "big")
        self._sequence += 1
        try:
            plain: bytes = self._aead.decrypt(nonce, sealed[HEADER:], sealed[:HEADER])
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag
            raise TlsFormatError("a record that its key does not open", BAD_RECORD_MAC) from None
        if plain and not plain[-1]:
            plain = plain.rstrip(b"\0")
        if not plain:
            raise TlsFormatError("a record of nothing but padding", UNEXPECTED_MESSAGE)
        return plain[-1], plain[:-1]

    def seal(self, kind: int, content: bytes) -> bytes:
        """A record, with its header."""
        nonce = (self._iv ^ self._sequence).to_bytes(_NONCE, "big")
        self._sequence += 1
        size = len(content) + 1 + self._tag
        header = record(APPLICATION_DATA, TLS12, bytes(size))[:HEADER]
        sealed: bytes = self._aead.encrypt(nonce, content + b"%c" % kind, header)
        return header + sealed


#: The suites of TLS 1.3 (RFC 8446 appendix B.4).
SUITES13: Final[dict[int, Suite]] = {
    0x1301: Suite("sha256", 16, AESGCM),
    0x1302: Suite("sha384", 32, AESGCM),
    0x1303: Suite("sha256", 32, ChaCha20Poly1305),
    0x1304: Suite("sha256", 16, AESCCM),
    0x1305: Suite("sha256", 16, lambda key: AESCCM(key, _SHORT_TAG), _SHORT_TAG),
}
