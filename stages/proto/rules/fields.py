"""What can be asked of a handshake. Pure.

`Seen` is what was seen of one, without a word about where it came from; the certificate in it is read when something
first asks for it. A field's value is None where it was not seen, and then no condition on it holds, nor its contrary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from stages.proto.x509 import certificate
from stages.proto.x509.certificate import Certificate
from stages.proto.x509.dn import Name
from stages.proto.x509.shape import shape_of
from stages.proto.x509.signatures import signed_by
from stages.proto.x509.verdict import Is


class Kind(StrEnum):
    """What a field holds, and with that which operators it has."""

    FLAG = "flag"
    NUMBER = "number"
    DURATION = "duration"  #: seconds
    VERSION = "version"
    SUITE = "suite"
    CODES = "extensions"  #: in order
    TEXT = "text"  #: any number of them; one that fits is enough


@dataclass
class Seen:
    """One handshake, as far as it was seen."""

    at: int = 0  #: microseconds since the epoch
    outcome: str | None = None
    version: int | None = None
    suite: int | None = None
    compression: int | None = None
    session_id: int | None = None  #: bytes
    extensions: tuple[int, ...] | None = None  #: of the ServerHello
    alpn: str | None = None
    alert: str | None = None
    ja3s: str | None = None
    fingerprint: str | None = None
    synack: str | None = None
    jarm: str | None = None
    chain_length: int | None = None
    leaf: bytes | None = field(default=None, repr=False)  #: DER
    _known: dict[str, Any] = field(default_factory=dict, repr=False)

    def value(self, of: Field) -> Any:
        """What `of.get` gives; asked once, however many rules want it."""
        known = self._known
        if of.name not in known:
            known[of.name] = of.get(self)
        return known[of.name]

    @cached_property
    def certificate(self) -> Certificate | None:
        """The leaf, read."""
        return None if self.leaf is None else certificate.read(self.leaf)


Getter = Callable[[Seen], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `get` gives None for what is not known."""

    name: str
    kind: Kind
    get: Getter
    dear: bool = False  #: costs as much as all others together: asked last


def _of_leaf(get: Callable[[Certificate], Any]) -> Getter:
    def value(seen: Seen) -> Any:
        read = seen.certificate
        return None if read is None else get(read)

    return value


def _text(get: Callable[[Seen], str | None]) -> Getter:
    def value(seen: Seen) -> tuple[str, ...] | None:
        text = get(seen)
        return None if text is None else (text,)

    return value


def _name(of: Callable[[Certificate], Name | None], oid: str) -> Getter:
    def value(read: Certificate) -> list[str] | None:
        name = of(read)
        return None if name is None else name.values(oid)

    return _of_leaf(value)


def _whole(of: Callable[[Certificate], Name | None]) -> Getter:
    def value(read: Certificate) -> tuple[str] | None:
        name = of(read)
        return None if name is None else (name.rfc4514(),)

    return _of_leaf(value)


def _self_signed(read: Certificate) -> bool | None:
    """Issued by its own subject, and the signature verifies with its own key."""
    if not read.issuer_der or not read.subject_der:
        return None
    if read.issuer_der != read.subject_der:
        return False
    holds = signed_by(read, read.spki, read.key).holds
    return None if holds is Is.UNKNOWN else holds is Is.YES


def _names(read: Certificate) -> list[str]:
    return [*read.dns_names, *read.common_names]


def _key(read: Certificate, what: str) -> Any:
    return None if read.key is None else read.key.get(what)


def _validity(read: Certificate) -> int | None:
    if read.not_before is None or read.not_after is None:
        return None
    return (read.not_after - read.not_before) // 1_000_000


def _expired(seen: Seen) -> bool | None:
    read = seen.certificate
    return None if read is None or read.not_after is None else read.not_after < seen.at


_ATTRIBUTES: Final = {
    "CN": "2.5.4.3",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "C": "2.5.4.6",
    "ST": "2.5.4.8",
    "L": "2.5.4.7",
    "serialNumber": "2.5.4.5",
    "email": "1.2.840.113549.1.9.1",
}


def _subject(read: Certificate) -> Name | None:
    return read.subject


def _issuer(read: Certificate) -> Name | None:
    return read.issuer


def _all() -> dict[str, Field]:
    fields = [
        Field("outcome", Kind.TEXT, _text(lambda s: s.outcome)),
        Field("version", Kind.VERSION, lambda s: s.version),
        Field("suite", Kind.SUITE, lambda s: s.suite),
        Field("compression", Kind.NUMBER, lambda s: s.compression),
        Field("session id length", Kind.NUMBER, lambda s: s.session_id),
        Field("extensions", Kind.CODES, lambda s: s.extensions),
        Field("alpn", Kind.TEXT, _text(lambda s: s.alpn)),
        Field("alert", Kind.TEXT, _text(lambda s: s.alert)),
        Field("ja3s", Kind.TEXT, _text(lambda s: s.ja3s)),
        Field("fingerprint", Kind.TEXT, _text(lambda s: s.fingerprint)),
        Field("synack", Kind.TEXT, _text(lambda s: s.synack)),
        Field("jarm", Kind.TEXT, _text(lambda s: s.jarm)),
        Field("chain length", Kind.NUMBER, lambda s: s.chain_length),
        Field("self signed", Kind.FLAG, _of_leaf(_self_signed), dear=True),
        Field("expired", Kind.FLAG, _expired),
        Field("readable", Kind.FLAG, _of_leaf(lambda c: not c.errors)),
        Field("ca", Kind.FLAG, _of_leaf(lambda c: c.ca is True)),
        Field("validity", Kind.DURATION, _of_leaf(_validity)),
        Field("certificate version", Kind.NUMBER, _of_leaf(lambda c: c.version)),
        Field("certificate extensions", Kind.NUMBER, _of_leaf(lambda c: len(c.order))),
        Field("serial", Kind.TEXT, _of_leaf(lambda c: None if c.serial is None else (c.serial,))),
        Field("serial length", Kind.NUMBER, _of_leaf(lambda c: c.serial_bytes)),
        Field("signature", Kind.TEXT, _of_leaf(lambda c: (c.signature_name,) if c.signature_oid else None)),
        Field("key type", Kind.TEXT, _of_leaf(lambda c: None if c.key is None else (c.key["type"],))),
        Field("key bits", Kind.NUMBER, _of_leaf(lambda c: _key(c, "bits"))),
        Field("names", Kind.TEXT, _of_leaf(_names)),
        Field("sha256", Kind.TEXT, lambda s: None if s.leaf is None else (sha256(s.leaf).hexdigest(),)),
        Field("key sha256", Kind.TEXT, _of_leaf(lambda c: (sha256(c.spki).hexdigest(),) if c.spki else None)),
        Field("shape", Kind.TEXT, _of_leaf(lambda c: (shape_of(c),) if c.tbs else None)),
        Field("subject attributes", Kind.NUMBER, _of_leaf(lambda c: c.subject and len(c.subject.attributes))),
        Field("issuer attributes", Kind.NUMBER, _of_leaf(lambda c: c.issuer and len(c.issuer.attributes))),
        Field("subject", Kind.TEXT, _whole(_subject)),
        Field("issuer", Kind.TEXT, _whole(_issuer)),
    ]
    for word, oid in _ATTRIBUTES.items():
        fields.append(Field(f"subject {word}", Kind.TEXT, _name(_subject, oid)))
        fields.append(Field(f"issuer {word}", Kind.TEXT, _name(_issuer, oid)))
    return {each.name.lower(): each for each in fields}


#: By name in lower case.
FIELDS: Final = _all()
