"""What a TLS server says in the clear: ServerHello, the certificate chain of TLS 1.2 and below, alerts.

A reader beside a real TLS library: it sees the same bytes and remembers what the library may refuse to tell (a chain
whose DER it cannot read, the ServerHello of a handshake that failed). It stops at the first byte that is encrypted:
after ChangeCipherSpec, and after the ServerHello of TLS 1.3 (RFC 8446 section 4.4.2 puts the chain behind it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from stages.proto.tls.names import alert_name, suite_name, version_name

#: Record content types (RFC 8446 section 5.1).
CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23

#: Handshake message types (RFC 8446 section 4, RFC 5246 section 7.4, RFC 4680 section 2).
HELLO_REQUEST: Final = 0
SERVER_HELLO: Final = 2
CERTIFICATE: Final = 11
SUPPLEMENTAL_DATA: Final = 23

#: What may stand between ServerHello and Certificate.
_BEFORE_CERTIFICATE: Final = (HELLO_REQUEST, SERVER_HELLO, SUPPLEMENTAL_DATA)

#: An alert: level 2 is fatal; close_notify ends the connection whatever its level (RFC 5246 section 7.2).
FATAL: Final = 2
CLOSE_NOTIFY: Final = 0

#: A TLSCiphertext fragment is at most 2^14 + 2048 bytes (RFC 5246 section 6.2.3).
MAX_FRAGMENT: Final = 2**14 + 2048

#: One handshake message: the longest chains seen are some tens of KiB; more than this is an attack or an error.
MAX_MESSAGE: Final = 256 * 1024

#: ServerHello.random of a HelloRetryRequest (RFC 8446 section 4.1.3).
HELLO_RETRY_REQUEST: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

_SUPPORTED_VERSIONS: Final = 43
_TLS13: Final = 0x0304


class TlsFormatError(ValueError):
    """The peer's bytes are not TLS, or beyond our bounds."""


@dataclass(slots=True)
class ServerHello:
    """RFC 8446 section 4.1.3; `version` is what was negotiated, `legacy_version` what stands in the field."""

    legacy_version: int
    version: int
    random: bytes
    session_id: bytes
    suite: int
    compression: int
    extensions: list[tuple[int, bytes]]  #: in the server's order

    def facts(self) -> dict[str, Any]:
        """As it goes into the record: numbers, names, hex."""
        return {
            "legacy_version": self.legacy_version,
            "version": version_name(self.version),
            "random": self.random.hex(),
            "session_id": self.session_id.hex(),
            "cipher_suite": self.suite,
            "cipher_suite_name": suite_name(self.suite),
            "compression": self.compression,
            "extensions": [kind for kind, _ in self.extensions],
        }


@dataclass(slots=True)
class ClearReader:
    """Feed it every byte of the server; read the attributes at any time."""

    server_hello: ServerHello | None = None
    chain: list[bytes] | None = None  #: DER as sent, leaf first; None until a Certificate message came
    chain_over: bool = False  #: the chain came, or something that stands behind where it would have stood
    alert: str | None = None  #: the last one, or the one that ended it
    alert_ends: bool = False  #: after it nothing more is to come
    _records: bytearray = field(default_factory=bytearray)
    _messages: bytearray = field(default_factory=bytearray)
    _deaf: bool = False  #: the rest is encrypted

    @property
    def hello_seen(self) -> bool:
        """A ServerHello came that is no HelloRetryRequest."""
        return self.server_hello is not None and self.server_hello.random != HELLO_RETRY_REQUEST

    @property
    def done(self) -> bool:
        """Nothing more can be read in the clear."""
        return self._deaf

    def feed(self, data: bytes) -> None:
        """Raises TlsFormatError when the bytes are not TLS; what was read before stays."""
        if self._deaf:
            return
        records = self._records
        records += data
        at = 0
        while len(records) > at:
            if records[at] not in (CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA):
                raise TlsFormatError(f"content type {records[at]}")
            if len(records) - at < 5:
                break
            if records[at + 1] != 3:
                raise TlsFormatError(f"record version 0x{records[at + 1]:02x}{records[at + 2]:02x}")
            length = records[at + 3] << 8 | records[at + 4]
            if length > MAX_FRAGMENT:
                raise TlsFormatError(f"record of {length} bytes")
            end = at + 5 + length
            if len(records) < end:
                break
            if self._record(records[at], bytes(records[at + 5 : end])):
                self._deaf = True
                records.clear()
                self._messages.clear()
                return
            at = end
        del records[:at]

    def _record(self, kind: int, fragment: bytes) -> bool:
        """True when all that follows is encrypted."""
        if kind == ALERT:
            if len(fragment) == 2 and not self.alert_ends:
                self.alert = alert_name(fragment[1])
                self.alert_ends = fragment[0] == FATAL or fragment[1] == CLOSE_NOTIFY
        elif kind == HANDSHAKE:
            return self._handshake(fragment)
        else:
            # A dummy for middleboxes (RFC 8446 appendix D.4) may stand behind a HelloRetryRequest.
            hello = self.server_hello
            return not (kind == CHANGE_CIPHER_SPEC and hello is not None and hello.version == _TLS13)
        return False

    def _handshake(self, fragment: bytes) -> bool:
        messages = self._messages
        messages += fragment
        at = 0
        while len(messages) - at >= 4:
            length = int.from_bytes(messages[at + 1 : at + 4], "big")
            if length > MAX_MESSAGE:
                raise TlsFormatError(f"handshake message of {length} bytes, at most {MAX_MESSAGE}")
            end = at + 4 + length
            if len(messages) < end:
                break
            body = bytes(messages[at + 4 : end])
            if messages[at] == SERVER_HELLO and self.hello_seen:
                self.chain_over = True  # a second one is nonsense, and the first one counts
            elif messages[at] == SERVER_HELLO:
                self.server_hello = parse_server_hello(body)
                if self.server_hello.version == _TLS13 and self.server_hello.random != HELLO_RETRY_REQUEST:
                    return True
            elif messages[at] == CERTIFICATE and self.chain is None:
                self.chain = parse_certificate(body)
            if messages[at] not in _BEFORE_CERTIFICATE:
                self.chain_over = True
            at = end
        del messages[:at]
        return False


def parse_server_hello(body: bytes) -> ServerHello:
    """The body of a ServerHello message. Raises TlsFormatError."""
    if len(body) < 38:
        raise TlsFormatError(f"ServerHello of {len(body)} bytes")
    legacy_version = int.from_bytes(body[:2], "big")
    id_end = 35 + body[34]
    if len(body) < id_end + 3:
        raise TlsFormatError("ServerHello ends inside its session id")
    extensions: list[tuple[int, bytes]] = []
    version = legacy_version
    at = id_end + 3
    if len(body) >= at + 2:
        end = at + 2 + int.from_bytes(body[at : at + 2], "big")
        at += 2
        if end > len(body):
            raise TlsFormatError("ServerHello ends inside its extensions")
        while at + 4 <= end:
            kind = int.from_bytes(body[at : at + 2], "big")
            length = int.from_bytes(body[at + 2 : at + 4], "big")
            at += 4
            if at + length > end:
                raise TlsFormatError(f"extension {kind} is longer than the extensions")
            extensions.append((kind, body[at : at + length]))
            if kind == _SUPPORTED_VERSIONS and length == 2:
                version = int.from_bytes(body[at : at + 2], "big")
            at += length
    return ServerHello(
        legacy_version=legacy_version,
        version=version,
        random=body[2:34],
        session_id=body[35:id_end],
        suite=int.from_bytes(body[id_end : id_end + 2], "big"),
        compression=body[id_end + 2],
        extensions=extensions,
    )


def parse_certificate(body: bytes) -> list[bytes]:
    """The chain in the body of a TLS 1.2 Certificate message (RFC 5246 7.4.2), as sent. Raises TlsFormatError."""
    if len(body) < 3 or int.from_bytes(body[:3], "big") != len(body) - 3:
        raise TlsFormatError("length of the certificate list")
    chain: list[bytes] = []
    at = 3
    while at < len(body):
        if at + 3 > len(body):
            raise TlsFormatError("certificate list ends inside a length")
        end = at + 3 + int.from_bytes(body[at : at + 3], "big")
        if end > len(body):
            raise TlsFormatError("a certificate is longer than its list")
        chain.append(body[at + 3 : end])
        at = end
    return chain
