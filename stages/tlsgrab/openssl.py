"""`full` mode: a whole handshake by OpenSSL over memory BIOs, beside a reader of what is said in the clear.

Nothing is verified: a measurement wants to see the certificate that a browser would refuse. Security level 0 and the
lowest protocol version that the library was built with let old servers in (the library's own limits remain: SSLv3,
export and RC4 suites are not in it).

The chain of TLS 1.2 and below is taken from the bytes on the wire, so that a certificate which OpenSSL cannot read is
kept as it was sent; TLS 1.3 encrypts it, and there OpenSSL's view is all there is.

The only file that imports pyOpenSSL. Sans-IO: bytes in, bytes out; a dialogue for `stages.net.dialing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

from OpenSSL import SSL, crypto

from stages.core.outcome import Outcome, Phase
from stages.proto.tls.clear import ClearReader, TlsFormatError
from stages.proto.tls.names import alert_name, suite_name, version_name

#: All suites that the library has, also the weak ones (ciphers(1): COMPLEMENTOFALL adds the NULL suites).
ALL_CIPHERS: Final = b"ALL:COMPLEMENTOFALL:@SECLEVEL=0"

#: SSL_OP_LEGACY_SERVER_CONNECT: servers without secure renegotiation (RFC 5746) are still there.
OP_LEGACY_SERVER_CONNECT: Final = 0x4

#: SSL_set_info_callback(3): an alert was read. `ret` holds level << 8 | description.
CB_READ_ALERT: Final = 0x4004

#: How much of an answer that is not TLS is told in the record's `error`.
MAX_TOLD_BYTES: Final = 64

#: What one bio_read takes: a flight of a client is some hundred bytes, a client certificate some thousand.
BIO_READ: Final = 16_384

VERSION_CODES: Final = {
    "tls1.0": SSL.TLS1_VERSION,
    "tls1.1": SSL.TLS1_1_VERSION,
    "tls1.2": SSL.TLS1_2_VERSION,
    "tls1.3": SSL.TLS1_3_VERSION,
}


def _on_info(connection: SSL.Connection, where: int, ret: int) -> None:
    handshake = connection.get_app_data()
    if where == CB_READ_ALERT and handshake is not None and handshake.alert is None:
        handshake.alert = alert_name(ret & 0xFF)


@lru_cache(maxsize=16)
def client_context(minimum: str | None, maximum: str | None, alpn: tuple[str, ...]) -> SSL.Context:
    """One context for all connections of a run; `minimum` and `maximum` are keys of VERSION_CODES or None."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_min_proto_version(VERSION_CODES[minimum] if minimum else 0)
    context.set_max_proto_version(VERSION_CODES[maximum] if maximum else 0)
    context.set_cipher_list(ALL_CIPHERS)
    context.set_options(OP_LEGACY_SERVER_CONNECT)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_info_callback(_on_info)
    if alpn:
        context.set_alpn_protos([protocol.encode("ascii") for protocol in alpn])
    return context


def sni_of(name: str | None) -> bytes | None:
    """The name as it is sent (A-label), or None: IP literals are not allowed there (RFC 6066 section 3).

    Raises ValueError for what is no host name.
    """
    if not name:
        return None
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        encoded = name.rstrip(".").encode("idna")
        if not encoded or len(encoded) > 253:
            raise ValueError(f"{name!r} is no host name") from None
        return encoded
    return None


class FullHandshake:
    """One handshake, from ClientHello to Finished."""

    __slots__ = ("_clear", "_connection", "_head", "_not_tls", "_times", "alert", "complete", "error", "sni")

    def __init__(self, context: SSL.Context, sni: bytes | None, *, first: float, idle: float, total: float) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_connect_state()
        self._connection.set_app_data(self)
        if sni is not None:
            self._connection.set_tlsext_host_name(sni)
        self._clear = ClearReader()
        self._times = (first, idle, total)
        self._head = b""
        self._not_tls = False
        self.sni = sni.decode("ascii") if sni is not None else None
        self.complete = False
        self.alert: str | None = None
        self.error: str | None = None

    # -- a dialogue -------------------------------------------------------------------------------------------------

    def opening(self) -> bytes:
        self._step()
        return self._outgoing()

    def wait(self) -> float:
        return self._times[0]

    @property
    def idle(self) -> float:
        return self._times[1]

    @property
    def total(self) -> float:
        return self._times[2]

    def silence(self) -> bytes | None:
        return None

    def receive(self, data: bytes) -> bytes | None:
        """Bytes to send; None when the handshake is over, for good or bad (`farewell` is then the last to send)."""
        if len(self._head) < MAX_TOLD_BYTES:
            self._head += data[: MAX_TOLD_BYTES - len(self._head)]
        try:
            self._clear.feed(data)
        except TlsFormatError as error:
            self._not_tls = self._clear.server_hello is None
            self.error = f"{error}; answer begins with {self._head.hex()}"
            return None
        self._connection.bio_write(data)
        if self._step():
            return None
        return self._outgoing()

    def eof(self) -> bytes | None:
        if self._head and not self.complete and self.error is None and self.alert is None:
            self.error = "the peer closed in the middle of the handshake"
        return None

    def farewell(self) -> bytes:
        """What is still to be sent when `receive` said None: our Finished, our alert, close_notify."""
        if self.complete:
            self._connection.shutdown()
        return self._outgoing()

    # -- what was seen ----------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        if self._clear.server_hello is None:
            return Phase.HELLO
        return Phase.FINISH if self.complete or self.chain() else Phase.CERTIFICATE

    @property
    def outcome(self) -> Outcome | None:
        """What the bytes say; None when they do not say it (the connection ended before)."""
        if self.complete:
            return Outcome.OK
        if self.alert or self._clear.alert:
            return Outcome.ALERT
        return Outcome.PROTOCOL if self.error is not None else None

    def chain(self) -> Sequence[bytes]:
        """DER, leaf first."""
        if self._clear.chain is not None:
            return self._clear.chain
        seen = self._connection.get_peer_cert_chain() or ()
        return [crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in seen]

    def facts(self) -> dict[str, Any]:
        """Fields of the Tls record."""
        hello = self._clear.server_hello
        alpn = self._connection.get_alpn_proto_negotiated() if hello is not None else b""
        return {
            "alert": self.alert or self._clear.alert,
            "error": self.error,
            "version": version_name(hello.version) if hello else None,
            "cipher_suite": suite_name(hello.suite) if hello else None,
            "alpn": alpn.decode("ascii", "backslashreplace") or None,
            "sni": self.sni,
            "server_hello": hello.facts() if hello else None,
        }

    # ---------------------------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Drive OpenSSL on; True when the handshake is over."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            if self.error is None and self.alert is None:
                self.error = _reasons(error)
            return True
        self.complete = True
        return True

    def _outgoing(self) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                parts.append(self._connection.bio_read(BIO_READ))
            except SSL.WantReadError:
                return b"".join(parts)


def _reasons(error: SSL.Error) -> str:
    """OpenSSL's queue of errors in one line."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "OpenSSL: " + ("; ".join(reason for _, _, reason in queue if reason) or type(error).__name__)
