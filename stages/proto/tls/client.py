"""A TLS client that stops at the certificate, sans-IO: bytes in, facts and bytes out. Nothing is verified.

    opening -> ServerHello -+-> TLS <= 1.2: Certificate in the clear [-> CertificateStatus, where promised] -> over
               |            +-> TLS 1.3: EncryptedExtensions -> [CertificateRequest ->] Certificate -> over
               +-> HelloRetryRequest: the second ClientHello -> ServerHello

In TLS 1.3 our key share is the base point of its group (`groups`), so that one hash chain and one AEAD key show the
chain, and no key exchange is computed; with `fresh` it is a true one. Over means: an alert that says so (user_canceled
and close_notify; in TLS 1.3 close_notify, sealed), and the connection is closed by who owns it.

What is not TLS is read up to MAX_TOLD_BYTES, to be named (`foreign`). Everything has a bound: the size of records and
messages, what an inflated chain may be, records that say nothing, warnings, HelloRequests, ServerHellos; the bytes and
the time of the whole are the engine's.

A dialogue for `stages.net.dialing`, and for whatever else has a connection; randomness comes in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from stages.proto.tls import codes, foreign
from stages.proto.tls.certificate import decompress_certificate, parse_certificate, parse_certificate13, parse_status
from stages.proto.tls.codes import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    CLOSE_NOTIFY,
    FATAL,
    HANDSHAKE,
    ILLEGAL_PARAMETER,
    SSL3,
    TLS12,
    TLS13,
    UNEXPECTED_MESSAGE,
    USER_CANCELED,
    WARNING,
)
from stages.proto.tls.groups import BASE_POINTS, FreshKey, base_secret
from stages.proto.tls.hello import MAX_COOKIE, RANDOM, Template
from stages.proto.tls.messages import MessageReader, message, whole
from stages.proto.tls.names import alert_name, suite_name, version_name
from stages.proto.tls.records import HEADER, ForeignError, RecordReader, TlsFormatError, record
from stages.proto.tls.schedule import SUITES13, Protection, Suite
from stages.proto.tls.script import RANDOM_BYTES, Script, Stop
from stages.proto.tls.server_hello import ServerHello, chosen_protocol, extensions_of, parse_server_hello

#: Records in a row that bring nothing: no library sends more than a few.
MAX_EMPTY_RECORDS: Final = 16
#: Alerts that end nothing; a server has one to give, that it does not know the name.
MAX_WARNINGS: Final = 8
#: Requests to begin anew in the middle of the handshake (RFC 5246 section 7.4.1.1 says to ignore them).
MAX_HELLO_REQUESTS: Final = 8
#: ChangeCipherSpec records of TLS 1.3, that mean nothing (RFC 8446 appendix D.4): one a flight.
MAX_CHANGES: Final = 4

#: Seconds to wait for the rest of what is not TLS, or of what may follow a chain: a round trip, and one lost segment.
LINGER: Final = 2.0

_CCS: Final = record(CHANGE_CIPHER_SPEC, TLS12, b"\1")
_RESERVED_SSL3: Final = frozenset({USER_CANCELED})


@lru_cache(256)
def _alerts(version: int, level: int, descriptions: tuple[int, ...]) -> bytes:
    """In the clear, a record each."""
    if version == SSL3:
        descriptions = tuple(each for each in descriptions if each not in _RESERVED_SSL3)
    return b"".join(record(ALERT, version, bytes((level, each))) for each in descriptions)


class Client:
    """One handshake. The attributes may be read at any time."""

    __slots__ = (
        "_changes",
        "_empty",
        "_farewell",
        "_hello",
        "_keys",
        "_listening",
        "_messages",
        "_name",
        "_open",
        "_out",
        "_random",
        "_records",
        "_requests",
        "_script",
        "_secret",
        "_suite",
        "_template",
        "_transcript",
        "_warnings",
        "alert",
        "alert_ends",
        "asked",
        "chain_seen",
        "compressed",
        "done",
        "encrypted",
        "error",
        "head",
        "ocsp",
        "protocol",
        "retry",
        "scts",
        "server_hello",
    )

    def __init__(self, script: Script, name: bytes | None, random: bytes) -> None:
        """`name`: as it goes into the hello. `random`: `script.random_bytes` of them."""
        self._script = script
        self._template = script.template
        self._name = name
        self._random = random
        self._records = RecordReader()
        self._messages = MessageReader()
        self._hello = b""  # the last ClientHello sent
        self._transcript = b""  # what stands before it
        self._keys: dict[int, FreshKey] = {}
        self._suite: Suite | None = None
        self._secret = b""
        self._open: Protection | None = None
        self._out = b""
        self._farewell = b""
        self._listening = False
        self._empty = self._warnings = self._requests = self._changes = 0
        self.head = b""  #: the first bytes of the server, MAX_TOLD_BYTES at most; kept while they may not be TLS
        self.server_hello: ServerHello | None = None
        self.retry: ServerHello | None = None  #: the HelloRetryRequest before it
        self.encrypted: list[tuple[int, bytes]] | None = None  #: EncryptedExtensions, in order
        self.protocol: bytes | None = None  #: by ALPN
        self.asked = False  #: for a client certificate, before the chain (TLS 1.3)
        self.chain_seen: list[bytes] | None = None  #: DER as sent, leaf first
        self.compressed: int | None = None  #: algorithm of a compressed chain
        self.ocsp: bytes | None = None
        self.scts: bytes | None = None
        self.alert: str | None = None  #: the last one, or the one that ended it
        self.alert_ends = False
        self.error: str | None = None  #: what broke the protocol
        self.done = False  #: all was seen that is asked for

    # -- a dialogue -------------------------------------------------------------------------------------------------

    def opening(self) -> bytes:
        script, random = self._script, self._random
        template = self._template
        if script.fresh and template.spec.shares:
            shares = {group: self._fresh(group) for group in template.spec.shares}
            template = self._template = Template(template.spec, shares)
        session_id = random[RANDOM:RANDOM_BYTES] if template.spec.session_id else b""
        self._hello = template.render(self._name, random[:RANDOM], session_id)
        return record(HANDSHAKE, template.spec.record_version, self._hello)

    def wait(self) -> float:
        return self._script.first

    @property
    def idle(self) -> float:
        idle = self._script.idle
        return min(idle, LINGER) if self._listening or self.chain_seen is not None else idle

    @property
    def total(self) -> float:
        return self._script.total

    def silence(self) -> bytes | None:
        return None

    def receive(self, data: bytes) -> bytes | None:
        """Bytes to send; None when it is over, for good or bad."""
        if self._listening:
            return self._listen(data)
        records = self._records
        records.push(data)
        try:
            while (one := records.pull()) is not None:
                clear = one[0] == HANDSHAKE and self._open is None
                if self._handshake(one[HEADER:]) if clear else self._record(one):
                    return None
        except ForeignError as error:
            if self.server_hello is not None or self.retry is not None or self.alert is not None:
                self._refuse(error)
                return None
            self.error = str(error)
            self._listening = True
            return self._listen(records.rest)
        except TlsFormatError as error:
            self._refuse(error)
            return None
        out, self._out = self._out, b""
        return out

    def eof(self) -> bytes | None:
        if self._listening:
            self._tell()
        elif self.error is None and not self.done and not self.alert_ends and self.chain_seen is None and self._begun:
            self.error = "the peer closed in the middle of the handshake"
        return None

    @property
    def _begun(self) -> bool:
        """Something of TLS has come."""
        return bool(self._records.rest or self.server_hello or self.retry or self.alert)

    def farewell(self) -> bytes:
        """The alerts that say that we go, and why."""
        return self._farewell

    # -- what was seen ----------------------------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """`hello` until the ServerHello is here, then `certificate`."""
        if self.server_hello is None or self._script.stop is Stop.HELLO:
            return "hello"
        return "certificate"

    @property
    def hello_name(self) -> str:
        """Which hello was sent."""
        return self._template.spec.name

    @property
    def name(self) -> bytes | None:
        """The name that was asked for."""
        return self._name

    # -- records ----------------------------------------------------------------------------------------------------

    def _record(self, one: bytes) -> bool:
        """True when it is over."""
        kind = one[0]
        opened = self._open
        if opened is None:
            content = one[HEADER:]  # no handshake message: see `receive`
        elif kind == APPLICATION_DATA:
            kind, content = opened.open(one)
            if kind == HANDSHAKE:
                return self._handshake(content)
            if kind != ALERT:
                raise TlsFormatError(f"content type {kind} before the certificate", UNEXPECTED_MESSAGE)
        elif kind == HANDSHAKE:
            raise TlsFormatError("a handshake record in the clear behind the ServerHello", UNEXPECTED_MESSAGE)
        else:
            content = one[HEADER:]
        if kind == ALERT:
            return self._alerted(content)
        if kind == CHANGE_CIPHER_SPEC:
            return self._changed()
        raise TlsFormatError("application data before the certificate", UNEXPECTED_MESSAGE)

    def _alerted(self, content: bytes) -> bool:
        if len(content) != 2:
            self._nothing("alert")
            return False
        level, description = content
        self.alert = alert_name(description)
        hello = self.server_hello
        if hello is not None and hello.version == TLS13:
            ends = description != USER_CANCELED  # the level means nothing there (RFC 8446 section 6)
        else:
            ends = level == FATAL or description == CLOSE_NOTIFY
        if ends:
            self.alert_ends = True
            return True
        self._warnings += 1
        if self._warnings > MAX_WARNINGS:
            raise TlsFormatError(f"more than {MAX_WARNINGS} warnings", UNEXPECTED_MESSAGE)
        return False

    def _changed(self) -> bool:
        self._changes += 1
        hello = self.server_hello or self.retry
        if hello is None or hello.version != TLS13:
            if self.chain_seen is not None:
                return self._over()
            raise TlsFormatError("change_cipher_spec before the certificate", UNEXPECTED_MESSAGE)
        if self._changes > MAX_CHANGES:
            raise TlsFormatError(f"more than {MAX_CHANGES} change_cipher_spec records", UNEXPECTED_MESSAGE)
        return False

    def _nothing(self, what: str) -> None:
        self._empty += 1
        if self._empty > MAX_EMPTY_RECORDS:
            raise TlsFormatError(f"more than {MAX_EMPTY_RECORDS} empty {what} records", UNEXPECTED_MESSAGE)

    # -- handshake messages -----------------------------------------------------------------------------------------

    def _handshake(self, fragment: bytes) -> bool:
        if fragment:
            self._empty = 0
        else:
            self._nothing("handshake")
        messages = self._messages
        if messages.empty and whole(fragment):
            return self._message(fragment)
        messages.push(fragment)
        while (one := messages.pull()) is not None:
            if self._message(one):
                return True
        return False

    def _message(self, one: bytes) -> bool:
        kind = one[0]
        hello = self.server_hello
        if kind == codes.HELLO_REQUEST:
            self._requests += 1
            if self._requests > MAX_HELLO_REQUESTS:
                raise TlsFormatError(f"more than {MAX_HELLO_REQUESTS} HelloRequests", UNEXPECTED_MESSAGE)
            return False
        if kind == codes.SERVER_HELLO:
            return self._hello_came(one)
        if hello is None:
            raise TlsFormatError(f"handshake message {kind} before the ServerHello", UNEXPECTED_MESSAGE)
        if hello.version == TLS13:
            return self._message13(kind, one)
        if kind == codes.CERTIFICATE and self.chain_seen is None:
            self.chain_seen = parse_certificate(one[4:])
            return self._over() if hello.extension(codes.STATUS_REQUEST) is None else False
        if kind == codes.CERTIFICATE_STATUS and self.chain_seen is not None:
            self.ocsp = parse_status(one[4:])
            return self._over()
        if kind == codes.SUPPLEMENTAL_DATA and self.chain_seen is None:
            return False
        if kind in (codes.SERVER_KEY_EXCHANGE, codes.CERTIFICATE_REQUEST, codes.SERVER_HELLO_DONE):
            return self._over()  # the suite has no certificate, or the promised status does not come
        raise TlsFormatError(f"handshake message {kind} before the certificate", UNEXPECTED_MESSAGE)

    def _message13(self, kind: int, one: bytes) -> bool:
        if self._open is None:
            raise TlsFormatError(f"handshake message {kind} in the clear", UNEXPECTED_MESSAGE)
        if kind == codes.ENCRYPTED_EXTENSIONS and self.encrypted is None:
            if len(one) < 6 or int.from_bytes(one[4:6], "big") != len(one) - 6:
                raise TlsFormatError("length of EncryptedExtensions")
            self.encrypted = list(extensions_of(one, 6, len(one), "EncryptedExtensions"))
            for extension, data in self.encrypted:
                if extension == codes.ALPN:
                    self.protocol = chosen_protocol(data)
            return False
        if kind == codes.CERTIFICATE_REQUEST and not self.asked:
            self.asked = True
            return False
        if kind == codes.CERTIFICATE:
            body = one[4:]
        elif kind == codes.COMPRESSED_CERTIFICATE:
            body = decompress_certificate(one[4:])
            self.compressed = one[4] << 8 | one[5]
        else:
            raise TlsFormatError(f"handshake message {kind} before the certificate", UNEXPECTED_MESSAGE)
        chain = parse_certificate13(body)
        self.chain_seen, self.ocsp, self.scts = chain.certificates, chain.ocsp, chain.scts
        return self._over()

    def _hello_came(self, one: bytes) -> bool:
        if self.server_hello is not None:
            raise TlsFormatError("a second ServerHello", UNEXPECTED_MESSAGE)
        hello = parse_server_hello(one[4:])
        if hello.retry:
            if self.retry is not None:
                raise TlsFormatError("a second HelloRetryRequest", UNEXPECTED_MESSAGE)
            self.retry = hello
            self._again(hello, one)
            return False
        self.server_hello = hello
        self.protocol = hello.protocol
        self.scts = hello.extension(codes.SIGNED_CERTIFICATE_TIMESTAMP)
        if self._script.stop is Stop.HELLO:
            if hello.version == TLS13 and hello.suite in SUITES13:
                self._derive(hello, one)
            return self._over()
        if hello.version == TLS13:
            self._derive(hello, one)
        elif hello.version > TLS13:
            raise TlsFormatError(f"version {version_name(hello.version)} was not offered", ILLEGAL_PARAMETER)
        return False

    # -- TLS 1.3 ----------------------------------------------------------------------------------------------------

    def _fresh(self, group: int) -> bytes:
        """The public value of a new key."""
        key = self._keys[group] = FreshKey(group, self._random[RANDOM_BYTES:])
        return key.public

    def _suite13(self, hello: ServerHello) -> Suite:
        suite = SUITES13.get(hello.suite)
        if suite is None or not self._template.is13:
            raise TlsFormatError(f"TLS 1.3 with {suite_name(hello.suite)} was not offered", ILLEGAL_PARAMETER)
        if not self._messages.empty:
            raise TlsFormatError("bytes in the clear behind the ServerHello", UNEXPECTED_MESSAGE)
        return suite

    def _again(self, hello: ServerHello, one: bytes) -> None:
        """The second ClientHello: the first one with the share and the cookie that were asked for (section 4.1.2)."""
        suite = self._suite13(hello)
        spec = self._template.spec
        shares = dict(self._template.shares)
        cookie = hello.cookie
        if len(cookie) > MAX_COOKIE:
            raise TlsFormatError(f"a cookie of {len(cookie)} bytes, at most {MAX_COOKIE}", ILLEGAL_PARAMETER)
        wanted = hello.share
        if wanted is not None:
            group = wanted[0]
            if group not in spec.groups or group in shares or group not in BASE_POINTS:
                raise TlsFormatError(f"HelloRetryRequest for group {group}", ILLEGAL_PARAMETER)
            shares = {group: self._fresh(group) if self._script.fresh else BASE_POINTS[group]}
        elif not cookie:
            raise TlsFormatError("a HelloRetryRequest that asks for nothing", ILLEGAL_PARAMETER)
        digest = suite.new(self._hello).digest()
        self._transcript = message(codes.MESSAGE_HASH, digest) + one
        template = self._template = Template(spec, shares, cookie)
        session_id = self._random[RANDOM:RANDOM_BYTES] if spec.session_id else b""
        self._hello = template.render(self._name, self._random[:RANDOM], session_id)
        self._out = (_CCS if session_id else b"") + record(HANDSHAKE, TLS12, self._hello)

    def _derive(self, hello: ServerHello, one: bytes) -> None:
        """The keys behind the ServerHello."""
        suite = self._suite = self._suite13(hello)
        share = hello.share
        if share is None:
            raise TlsFormatError("a ServerHello of TLS 1.3 without a key share", ILLEGAL_PARAMETER)
        group, value = share
        if group not in self._template.shares:
            raise TlsFormatError(f"a key share in group {group}, where we sent none", ILLEGAL_PARAMETER)
        if self.retry is not None and self.retry.suite != hello.suite:
            raise TlsFormatError("another suite than in the HelloRetryRequest", ILLEGAL_PARAMETER)
        key = self._keys.get(group)
        shared = key.secret(value) if key is not None else base_secret(group, value)
        self._secret = suite.handshake_secret(shared)
        self._transcript = suite.new(self._transcript + self._hello + one).digest()
        if self._script.stop is not Stop.HELLO:
            self._open = suite.protection(self._secret, suite.server_label, self._transcript)

    # -- the end ----------------------------------------------------------------------------------------------------

    def _over(self) -> bool:
        self.done = True
        self._say(WARNING, USER_CANCELED, CLOSE_NOTIFY)
        return True

    def _refuse(self, error: TlsFormatError) -> None:
        """The peer broke the protocol: it is told so."""
        self.error = str(error)
        self._say(FATAL, error.alert)

    def _say(self, level: int, *descriptions: int) -> None:
        hello = self.server_hello
        if self._secret and self._suite is not None:
            descriptions = descriptions[-1:]
            ours = self._suite.protection(self._secret, self._suite.client_label, self._transcript)
            self._farewell = b"".join(ours.seal(ALERT, bytes((level, each))) for each in descriptions)
            return
        version = hello.version if hello is not None and SSL3 <= hello.version <= TLS12 else TLS12
        self._farewell = _alerts(version, level, descriptions)

    # -- what is not TLS --------------------------------------------------------------------------------------------

    def _listen(self, data: bytes) -> bytes | None:
        self.head += data[: foreign.MAX_TOLD_BYTES - len(self.head)]
        if len(self.head) < foreign.MAX_TOLD_BYTES:
            return b""
        self._tell()
        return None

    def _tell(self) -> None:
        """Once: say what it was."""
        self._listening = False
        self.error = foreign.told(self.head, self.error or "")

    def give_up(self) -> None:
        """The connection ended without `eof`: by a deadline or a RST. What there is of a foreign answer is told."""
        if self._listening:
            self._tell()
