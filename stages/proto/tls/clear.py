"""What a TLS server says in the clear: ServerHello, the certificate chain of TLS 1.2 and below, alerts.

A reader beside a real TLS library: it sees the same bytes and remembers what the library may refuse to tell (a chain
whose DER it cannot read, the ServerHello of a handshake that failed). It stops at the first byte that is encrypted:
after ChangeCipherSpec, and after the ServerHello of TLS 1.3 (RFC 8446 section 4.4.2 puts the chain behind it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from stages.proto.tls.certificate import parse_certificate
from stages.proto.tls.codes import (
    ALERT,
    CERTIFICATE,
    CHANGE_CIPHER_SPEC,
    CLOSE_NOTIFY,
    FATAL,
    HANDSHAKE,
    HELLO_REQUEST,
    SERVER_HELLO,
    SUPPLEMENTAL_DATA,
    TLS13,
)
from stages.proto.tls.messages import MessageReader
from stages.proto.tls.names import alert_name
from stages.proto.tls.records import HEADER, RecordReader
from stages.proto.tls.server_hello import ServerHello, parse_server_hello

#: What may stand between ServerHello and Certificate.
_BEFORE_CERTIFICATE: Final = (HELLO_REQUEST, SERVER_HELLO, SUPPLEMENTAL_DATA)


@dataclass(slots=True)
class ClearReader:
    """Feed it every byte of the server; read the attributes at any time."""

    server_hello: ServerHello | None = None
    chain: list[bytes] | None = None  #: DER as sent, leaf first; None until a Certificate message came
    chain_over: bool = False  #: the chain came, or something that stands behind where it would have stood
    alert: str | None = None  #: the last one, or the one that ended it
    alert_ends: bool = False  #: after it nothing more is to come
    _records: RecordReader = field(default_factory=RecordReader)
    _messages: MessageReader = field(default_factory=MessageReader)
    _deaf: bool = False  #: the rest is encrypted

    @property
    def hello_seen(self) -> bool:
        """A ServerHello came that is no HelloRetryRequest."""
        return self.server_hello is not None and not self.server_hello.retry

    @property
    def done(self) -> bool:
        """Nothing more can be read in the clear."""
        return self._deaf

    def feed(self, data: bytes) -> None:
        """Raises TlsFormatError when the bytes are not TLS; what was read before stays."""
        if self._deaf:
            return
        self._records.push(data)
        while (one := self._records.pull()) is not None:
            if self._record(one[0], one[HEADER:]):
                self._deaf = True
                self._records, self._messages = RecordReader(), MessageReader()
                return

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
            return not (kind == CHANGE_CIPHER_SPEC and hello is not None and hello.version == TLS13)
        return False

    def _handshake(self, fragment: bytes) -> bool:
        self._messages.push(fragment)
        while (one := self._messages.pull()) is not None:
            kind = one[0]
            if kind == SERVER_HELLO and self.hello_seen:
                self.chain_over = True  # a second one is nonsense, and the first one counts
            elif kind == SERVER_HELLO:
                self.server_hello = parse_server_hello(one[4:])
                if self.server_hello.version == TLS13 and self.hello_seen:
                    return True
            elif kind == CERTIFICATE and self.chain is None:
                self.chain = parse_certificate(one[4:])
            if kind not in _BEFORE_CERTIFICATE:
                self.chain_over = True
        return False
