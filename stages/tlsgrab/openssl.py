"""`full` mode: a whole handshake by OpenSSL over memory BIOs, beside a reader of what is said in the clear.

Nothing is verified: a measurement wants to see the certificate that a browser would refuse. Security level 0 and the
lowest protocol version that the library was built with let old servers in (the library's own limits remain: SSLv3,
export and RC4 suites are not in it, and a chain of more than 100 KiB is too much for it).

The chain of TLS 1.2 and below is taken from the bytes on the wire, so that a certificate which OpenSSL cannot read is
kept as it was sent. Where OpenSSL gives up before the chain has come, we say nothing yet and read on for it: what is
seen must not depend on how TCP cut the server's flight. TLS 1.3 encrypts the chain, and there OpenSSL's view is all
there is: of one it cannot read, its error.

A server of TLS 1.3 refuses a missing client certificate only after our Finished. So where it asked for one we wait a
little for its verdict: an alert, or anything else.

    opening -> [receive -> handshake goes on]* -> complete -> farewell: close_notify
                        |                            +-> it asked for a certificate: wait for the verdict -> farewell
                        +-> not TLS, alert, refused by OpenSSL (read on for the chain) -> farewell: our alert

The only file that imports pyOpenSSL. Sans-IO: bytes in, bytes out; a dialogue for `stages.net.dialing`. The OpenSSL
object, some tens of KiB, exists from `opening` on only, and no cycle of references holds it: it goes with the
conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

from OpenSSL import SSL, crypto

from stages.core.outcome import Outcome, Phase
from stages.proto.tls.clear import ClearReader
from stages.proto.tls.codes import CLOSE_NOTIFY, FATAL, USER_CANCELED
from stages.proto.tls.names import alert_name, suite_name, version_name
from stages.proto.tls.records import TlsFormatError

#: All suites that the library has, also the weak ones (ciphers(1): COMPLEMENTOFALL adds the NULL suites). The anonymous
#: ones stand last: a server that has both must choose one with a certificate.
ALL_CIPHERS: Final = b"ALL:COMPLEMENTOFALL:+eNULL:+aNULL:@SECLEVEL=0"

#: SSL_OP_LEGACY_SERVER_CONNECT: servers without secure renegotiation (RFC 5746) are still there.
OP_LEGACY_SERVER_CONNECT: Final = 0x4

#: SSL_set_info_callback(3): an alert was read (`ret` holds level << 8 | description); the state is about to change.
CB_READ_ALERT: Final = 0x4004
CB_CONNECT_LOOP: Final = 0x1001

#: SSL_state_string_long(3): the ServerHello is not yet accepted.
_AT_HELLO: Final = frozenset({b"", b"before SSL initialization", b"SSLv3/TLS write client hello"})
_CERTIFICATE_REQUEST: Final = b"SSLv3/TLS read server certificate request"
_SESSION_TICKET: Final = b"SSLv3/TLS read server session ticket"

#: How much of an answer that is not TLS is told in the record's `error`.
MAX_TOLD_BYTES: Final = 64

#: Seconds to wait, at most, for the rest of a chain or for a verdict: a round trip, and one lost segment.
LINGER: Final = 2.0

#: What one bio_read takes: a flight of a client is one or two KiB.
BIO_READ: Final = 16_384

VERSION_CODES: Final = {
    "tls1.0": SSL.TLS1_VERSION,
    "tls1.1": SSL.TLS1_1_VERSION,
    "tls1.2": SSL.TLS1_2_VERSION,
    "tls1.3": SSL.TLS1_3_VERSION,
}

_TLS13: Final = 0x0304


class _Notes:
    """What OpenSSL tells on the way."""

    __slots__ = ("alert", "asked", "state", "ticket")

    def __init__(self) -> None:
        self.state = b""  #: the last state that was left
        self.alert: tuple[int, int] | None = None  #: level, description
        self.asked = False  #: for a client certificate
        self.ticket = False


def _on_info(connection: SSL.Connection, where: int, ret: int) -> None:
    notes: _Notes = connection.get_app_data()
    if where == CB_CONNECT_LOOP:
        notes.state = state = connection.get_state_string()
        if state == _CERTIFICATE_REQUEST:
            notes.asked = True
        elif state == _SESSION_TICKET:
            notes.ticket = True
    elif where == CB_READ_ALERT:
        notes.alert = ret >> 8, ret & 0xFF


@lru_cache(maxsize=16)
def client_context(minimum: str | None, maximum: str | None, alpn: tuple[str, ...]) -> SSL.Context:
    """One context for all connections of a run; `minimum` and `maximum` are keys of VERSION_CODES or None."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_min_proto_version(VERSION_CODES[minimum] if minimum else 0)
    context.set_max_proto_version(VERSION_CODES[maximum] if maximum else 0)
    context.set_cipher_list(ALL_CIPHERS)
    context.set_options(OP_LEGACY_SERVER_CONNECT)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_info_callback(_on_info)
    if alpn:
        context.set_alpn_protos([protocol.encode("ascii") for protocol in alpn])
    return context


class _Mode(IntEnum):
    HANDSHAKE = 0
    LISTENING = 1  #: OpenSSL has given up; the chain may still come in the clear
    VERDICT = 2  #: complete for us; the server may still refuse that we showed no certificate


class FullHandshake:
    """One handshake, from ClientHello to Finished. Times in seconds: for the first byte, between two, in all."""

    __slots__ = ("_clear", "_connection", "_context", "_head", "_mode", "_notes", "_sni", "_times", "complete", "error")

    def __init__(self, context: SSL.Context, sni: bytes | None, *, first: float, idle: float, total: float) -> None:
        self._context = context
        self._sni = sni
        self._times = (first, idle, total)
        self._connection: SSL.Connection | None = None
        self._clear = ClearReader()
        self._notes = _Notes()
        self._head = b""
        self._mode = _Mode.HANDSHAKE
        self.complete = False  #: we have seen the server's Finished and said ours
        self.error: str | None = None

    # -- a dialogue -------------------------------------------------------------------------------------------------

    def opening(self) -> bytes:
        connection = self._connection = SSL.Connection(self._context, None)
        connection.set_app_data(self._notes)
        connection.set_connect_state()
        if self._sni is not None:
            connection.set_tlsext_host_name(self._sni)
        self._shake(connection)
        return _outgoing(connection)

    def wait(self) -> float:
        return self._times[0]

    @property
    def idle(self) -> float:
        idle = self._times[1]
        return idle if self._mode is _Mode.HANDSHAKE else min(idle, LINGER)

    @property
    def total(self) -> float:
        return self._times[2]

    def silence(self) -> bytes | None:
        return None

    def receive(self, data: bytes) -> bytes | None:
        """Bytes to send; None when the handshake is over, for good or bad."""
        connection = self._connection
        assert connection is not None
        if self._mode is _Mode.VERDICT:
            return self._hear(connection, data)
        if len(self._head) < MAX_TOLD_BYTES:
            self._head += data[: MAX_TOLD_BYTES - len(self._head)]
        clear = self._clear
        try:
            clear.feed(data)
        except TlsFormatError as error:
            if self.error is None:
                self.error = f"{error}; the answer begins with {self._head.hex()}"
            return None
        if self._mode is _Mode.HANDSHAKE:
            connection.bio_write(data)
            if not self._shake(connection):
                return _outgoing(connection)
            if self.complete:
                if not self._notes.asked or not self._is_tls13:
                    return None
                self._mode = _Mode.VERDICT
                return _outgoing(connection)
            self._mode = _Mode.LISTENING
        elsewhere = clear.chain_over or clear.done or clear.alert_ends or not clear.hello_seen
        return None if elsewhere else b""

    def eof(self) -> bytes | None:
        if self._head and not self.complete and self.error is None and not self._alert_ends:
            self.error = "the peer closed in the middle of the handshake"
        return None

    def farewell(self) -> bytes:
        """Our Finished, the alert that says why not, close_notify."""
        connection = self._connection
        assert connection is not None
        if self.complete and not self._alert_ends:
            connection.shutdown()
        return _outgoing(connection)

    # -- what was seen ----------------------------------------------------------------------------------------------

    @property
    def alert(self) -> str | None:
        """The alert that the server sent, by name; the last one where there were several."""
        notes = self._notes
        return self._clear.alert if notes.alert is None else alert_name(notes.alert[1])

    @property
    def phase(self) -> Phase:
        """What was being done when it ended; what OpenSSL refused was not got over."""
        if self.complete:
            return Phase.FINISH
        refused = self.error is not None and self._mode is not _Mode.HANDSHAKE
        if not self._clear.hello_seen or (refused and self._notes.state in _AT_HELLO):
            return Phase.HELLO
        connection = self._connection
        accepted = connection is not None and connection.get_peer_certificate() is not None
        return Phase.FINISH if accepted else Phase.CERTIFICATE

    @property
    def outcome(self) -> Outcome | None:
        """What the bytes say; None when they do not say it (the connection ended before)."""
        if self._alert_ends:
            return Outcome.ALERT
        if self.complete:
            return Outcome.OK
        return Outcome.PROTOCOL if self.error is not None else None

    def chain(self) -> Sequence[bytes]:
        """DER, leaf first."""
        if self._clear.chain is not None:
            return self._clear.chain
        seen = self._connection.get_peer_cert_chain() if self._connection is not None else None
        return [crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in seen or ()]

    def give_up(self) -> None:
        """What has come was looked at as it came."""

    def facts(self) -> dict[str, Any]:
        """Fields of the Tls record."""
        hello = self._clear.server_hello
        alpn: bytes = b""
        if hello is not None and self._connection is not None:
            alpn = self._connection.get_alpn_proto_negotiated()
        return {
            "alert": self.alert,
            "error": self.error,
            "version": version_name(hello.version) if hello else None,
            "cipher_suite": suite_name(hello.suite) if hello else None,
            "alpn": alpn.decode("ascii", "backslashreplace") or None,
            "sni": self._sni.decode("ascii") if self._sni is not None else None,
            "server_hello": hello.facts() if hello else None,
        }

    # ---------------------------------------------------------------------------------------------------------------

    @property
    def _is_tls13(self) -> bool:
        hello = self._clear.server_hello
        return hello is not None and hello.version == _TLS13

    @property
    def _alert_ends(self) -> bool:
        """Whether an alert of the server has ended it."""
        alert = self._notes.alert
        if alert is None:
            return self._clear.alert_ends
        level, description = alert
        if self._is_tls13:
            return (
                description != USER_CANCELED
            )  # the one that ends nothing by itself (section 6.1); the level means nothing there (RFC 8446 section 6)
        return level == FATAL or description == CLOSE_NOTIFY

    def _shake(self, connection: SSL.Connection) -> bool:
        """Drive OpenSSL on; True when the handshake is over."""
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            if not self._alert_ends:
                self.error = _reasons(error)
            return True
        self.complete = True
        return True

    def _hear(self, connection: SSL.Connection, data: bytes) -> bytes | None:
        """The server's first words after the handshake: None when they tell whether it let us in."""
        connection.bio_write(data)
        notes = self._notes
        try:
            connection.recv(1)
        except SSL.WantReadError:
            return None if notes.ticket else b""
        except SSL.Error:  # what it says is in the alert
            if notes.alert is not None and notes.alert[1] == CLOSE_NOTIFY:
                notes.alert = None  # a polite end, after all was done
        return None


def _outgoing(connection: SSL.Connection) -> bytes:
    parts: list[bytes] = []
    while True:
        try:
            parts.append(connection.bio_read(BIO_READ))
        except SSL.WantReadError:
            return b"".join(parts)


def _reasons(error: SSL.Error) -> str:
    """OpenSSL's queue of errors in one line."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "OpenSSL: " + ("; ".join(reason for _, _, reason in queue if reason) or type(error).__name__)
