"""The TLS side of a service, without sockets: bytes in, bytes out.

`Handshake` is OpenSSL over memory BIOs. `Unparsable` is a TLS 1.2 flight of our own (RFC 5246 7.4): ServerHello,
Certificate, ServerHelloDone, with a certificate that OpenSSL would refuse to load; what the client says to it is read
and ignored. Both answer a first application request with a plain HTTP response.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import Final, Protocol

from stages.simnet.certificates import Identity
from stages.simnet.truth import Kind

#: One read of decrypted bytes.
_READ_BYTES: Final = 16384

#: A ClientHello that is still not whole after this many bytes is none.
_HELLO_BYTES: Final = 65536

_RECORD_HANDSHAKE: Final = 22
_TLS12: Final = b"\x03\x03"
_SERVER_HELLO, _CERTIFICATE, _SERVER_HELLO_DONE = 2, 11, 14

#: Suites of TLS 1.2 that we can name without ever using them, in order of preference: with RSA key transport first,
#: since no ServerKeyExchange follows the certificate there (RFC 5246 7.4.3).
_SUITES: Final = (0x009C, 0x009D, 0x002F, 0x0035, 0xC02F, 0xC030, 0xC02B, 0xC02C, 0xC013, 0xC014, 0xCCA8, 0xCCA9)


class TlsAnswer(Protocol):
    """One connection."""

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """Bytes to send, and whether the connection is over."""


class Handshake:
    """A server of OpenSSL's."""

    def __init__(self, context: ssl.SSLContext, response: bytes) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._response = response
        self._shaken = False

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        self._incoming.write(data)
        over = False
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
            request = self._tls.read(_READ_BYTES)
            over = True
            if request:
                self._tls.write(self._response)
                self._tls.unwrap()  # sends our close_notify, and would wait for the peer's: the FIN is enough
        except ssl.SSLWantReadError:
            pass  # the rest of the handshake, the request, or the peer's close_notify is still to come
        except ssl.SSLError:
            over = True  # the alert that says why is in the outgoing bytes
        return self._outgoing.read(), over


class Unparsable:
    """One flight with a certificate that cannot be read."""

    def __init__(self, identity: Identity) -> None:
        self._chain = identity.chain
        self._hello = bytearray()
        self._answered = False

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        if self._answered:
            return b"", True
        self._hello += data
        hello = bytes(self._hello)
        if hello[:1] != bytes([_RECORD_HANDSHAKE]) or len(hello) > _HELLO_BYTES:
            return b"", True
        if len(hello) < 5 or len(hello) < 5 + int.from_bytes(hello[3:5], "big"):
            return b"", False
        self._answered = True
        return flight(hello[5:], self._chain, os.urandom(32)), False


def _offered(hello: bytes) -> list[int]:
    """The cipher suites of a ClientHello handshake message (RFC 5246 7.4.1.2)."""
    at = 4 + 2 + 32
    at += 1 + hello[at]
    size = int.from_bytes(hello[at : at + 2], "big")
    suites = hello[at + 2 : at + 2 + size]
    return [int.from_bytes(suites[n : n + 2], "big") for n in range(0, len(suites) - 1, 2)]


def _message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def flight(hello: bytes, chain: Sequence[bytes], random: bytes) -> bytes:
    """ServerHello, Certificate and ServerHelloDone, each in a record of its own."""
    try:
        offered = _offered(hello)
    except IndexError:
        return b""
    suite = next((s for s in _SUITES if s in offered), _SUITES[0])
    server_hello = _TLS12 + random + b"\x00" + suite.to_bytes(2, "big") + b"\x00"
    certificates = b"".join(len(der).to_bytes(3, "big") + der for der in chain)
    messages = (
        _message(_SERVER_HELLO, server_hello),
        _message(_CERTIFICATE, len(certificates).to_bytes(3, "big") + certificates),
        _message(_SERVER_HELLO_DONE, b""),
    )
    return b"".join(bytes([_RECORD_HANDSHAKE]) + _TLS12 + len(m).to_bytes(2, "big") + m for m in messages)


class Contexts:
    """One SSLContext for each identity and version, made when first asked for."""

    def __init__(self, identities: Sequence[Identity]) -> None:
        self._identities = identities
        self._made: dict[tuple[int, Kind], ssl.SSLContext] = {}

    def answer(self, kind: Kind, number: int, response: bytes) -> TlsAnswer:
        """The TLS side of one connection to a service that shows identity `number`."""
        if kind is Kind.TLS_UNPARSABLE:
            return Unparsable(self._identities[number])
        context = self._made.get((number, kind))
        if context is None:
            context = self._made[number, kind] = self._make(number, kind)
        return Handshake(context, response)

    def _make(self, number: int, kind: Kind) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0  # a client that only looks at the certificate would reset on them
        context.set_alpn_protocols(["http/1.1"])
        if kind is Kind.TLS12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        file = os.memfd_create("identity")  # load_cert_chain reads files only, and no file may be left behind
        try:
            with open(file, "wb", closefd=False) as out:
                out.write(self._identities[number].pem)
            context.load_cert_chain(f"/proc/self/fd/{file}")
        finally:
            os.close(file)
        return context
