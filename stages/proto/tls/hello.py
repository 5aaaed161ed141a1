"""ClientHello, out of data (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2).

A `HelloSpec` says what is offered and in which order; nothing is added to it behind its back, so that a fingerprint or
a rule can describe a hello of its own down to the byte. `Template` is the spec made into bytes once: for a connection
only its name, random and session id are put in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from stages.proto.tls import codes
from stages.proto.tls.codes import CLIENT_HELLO, TLS10, TLS12, TLS13
from stages.proto.tls.messages import message

#: Bytes of ClientHello.random, and of the session id of a hello that has one.
RANDOM: Final = 32

#: A cookie is sent back as it came; this is what fits into the extensions beside everything else.
MAX_COOKIE: Final = 2**15

_POINT_FORMATS: Final = bytes((1, 0))  # uncompressed (RFC 8422 section 5.1.2)
_STATUS_REQUEST: Final = bytes((1, 0, 0, 0, 0))  # ocsp, any responder (RFC 6066 section 8)


@dataclass(frozen=True, slots=True)
class HelloSpec:
    """One ClientHello. Code points are numbers, also unknown ones (GREASE, RFC 8701)."""

    name: str  #: in records and rules
    versions: tuple[int, ...]  #: offered, the highest first
    suites: tuple[int, ...]  #: in order
    extensions: tuple[int | tuple[int, bytes], ...] = ()  #: in order; a pair is sent as it stands
    groups: tuple[int, ...] = ()
    shares: tuple[int, ...] = ()  #: groups with a key share
    signatures: tuple[int, ...] = ()
    alpn: tuple[bytes, ...] = ()
    certificate_compression: tuple[int, ...] = ()
    compression: tuple[int, ...] = (0,)
    session_id: bool = False  #: a random one (RFC 8446 appendix D.4)
    record_version: int = TLS10
    legacy_version: int | None = None  #: None: the highest of `versions`, TLS 1.2 at most

    @property
    def in_field(self) -> int:
        """The version in ClientHello.client_version."""
        if self.legacy_version is not None:
            return self.legacy_version
        return min(max(self.versions), TLS12)


def _listed(items: Sequence[int], width: int = 2, prefix: int = 2) -> bytes:
    """A vector of numbers with its length in front."""
    body = b"".join(item.to_bytes(width, "big") for item in items)
    return len(body).to_bytes(prefix, "big") + body


def extension(kind: int, data: bytes) -> bytes:
    """One extension."""
    return kind.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def server_name(name: bytes) -> bytes:
    """The data of the server_name extension (RFC 6066 section 3)."""
    size = len(name)
    return (size + 3).to_bytes(2, "big") + b"\0" + size.to_bytes(2, "big") + name


def _data_of(spec: HelloSpec, kind: int, shares: Mapping[int, bytes], cookie: bytes) -> bytes | None:
    """The data of an extension that is written out of the spec; None: it is not sent. Raises ValueError: unknown."""
    match kind:
        case codes.STATUS_REQUEST:
            return _STATUS_REQUEST
        case codes.SUPPORTED_GROUPS:
            return _listed(spec.groups)
        case codes.EC_POINT_FORMATS:
            return _POINT_FORMATS
        case codes.SIGNATURE_ALGORITHMS:
            return _listed(spec.signatures)
        case codes.ALPN:
            names = b"".join(b"%c" % len(name) + name for name in spec.alpn)
            return len(names).to_bytes(2, "big") + names if names else None
        case codes.SIGNED_CERTIFICATE_TIMESTAMP | codes.EXTENDED_MASTER_SECRET:
            return b""
        case codes.COMPRESS_CERTIFICATE:
            return _listed(spec.certificate_compression, prefix=1)
        case codes.SUPPORTED_VERSIONS:
            return _listed(spec.versions, prefix=1)
        case codes.COOKIE:
            return len(cookie).to_bytes(2, "big") + cookie if cookie else None
        case codes.KEY_SHARE:
            entries = b"".join(extension(group, share) for group, share in shares.items())
            return len(entries).to_bytes(2, "big") + entries
        case codes.RENEGOTIATION_INFO:
            return b"\0"
    raise ValueError(f"extension {kind} must be given with its data")


@dataclass(frozen=True, slots=True)
class Template:
    """A spec as bytes, with the places of name, random and session id left open."""

    spec: HelloSpec
    shares: Mapping[int, bytes] = field(default_factory=dict)  #: group -> public value
    cookie: bytes = b""
    _suites: bytes = field(init=False)  #: suites and compression methods
    _before: bytes = field(init=False)  #: extensions before the server's name
    _after: bytes = field(init=False)
    _named: bool = field(init=False)  #: the name is asked for at all
    _field: bytes = field(init=False)  #: the version in the field
    _anonymous: bytes = field(init=False)  #: suites, compression and extensions of a hello without a name

    def __post_init__(self) -> None:
        """Raises ValueError: an extension that cannot be written out of the spec, or too much of something."""
        spec = self.spec
        parts: tuple[list[bytes], list[bytes]] = ([], [])
        named = False
        for item in spec.extensions:
            if isinstance(item, tuple):
                parts[named].append(extension(*item))
            elif item == codes.SERVER_NAME:
                named = True
            elif (data := _data_of(spec, item, self.shares, self.cookie)) is not None:
                parts[named].append(extension(item, data))
        if self.cookie and codes.COOKIE not in spec.extensions:
            parts[named].append(extension(codes.COOKIE, len(self.cookie).to_bytes(2, "big") + self.cookie))
        put = object.__setattr__  # the way of a frozen class to fill itself
        put(self, "_suites", _listed(spec.suites) + _listed(spec.compression, 1, 1))
        put(self, "_before", b"".join(parts[0]))
        put(self, "_after", b"".join(parts[1]))
        put(self, "_named", named)
        put(self, "_field", spec.in_field.to_bytes(2, "big"))
        put(self, "_anonymous", self._rest(self._before + self._after))

    def render(self, name: bytes | None, random: bytes, session_id: bytes) -> bytes:
        """The handshake message. `random` is RANDOM bytes, `session_id` at most as many, b"" for none."""
        rest = self._anonymous
        if name is not None and self._named:
            rest = self._rest(self._before + extension(codes.SERVER_NAME, server_name(name)) + self._after)
        return message(CLIENT_HELLO, b"%b%b%c%b%b" % (self._field, random, len(session_id), session_id, rest))

    def _rest(self, extensions: bytes) -> bytes:
        return self._suites + (len(extensions).to_bytes(2, "big") + extensions if self.spec.extensions else b"")

    def offers(self, version: int) -> bool:
        return version in self.spec.versions

    @property
    def is13(self) -> bool:
        """TLS 1.3 is offered."""
        return TLS13 in self.spec.versions
