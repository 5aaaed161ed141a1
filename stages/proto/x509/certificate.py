"""A certificate (RFC 5280 section 4.1), read as far as it can be. Pure; never raises for any bytes.

    c = read(der)
    c.subject, c.not_after, c.key, c.extensions     what was read, None or empty where it could not be
    c.tbs, c.spki, c.signature                      bytes, for whoever verifies
    c.errors, c.notes                               what could not be read; what is odd
    document(c)                                     what is stored

Parts are read one after the other, so that a certificate that was cut off, or whose extension is broken, still tells
the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5, sha1, sha256
from typing import Any, Final

from stages.proto.der import BOOLEAN, INTEGER, OCTET_STRING, SEQUENCE, DerError, Element, Walker, wrap
from stages.proto.x509 import oids
from stages.proto.x509.dn import Name, read_name
from stages.proto.x509.extensions import MAX_UNKNOWN_BYTES, READERS
from stages.proto.x509.general import MAX_NAMES, MAX_OTHERS
from stages.proto.x509.hostnames import MAX_NAME
from stages.proto.x509.keys import read_key
from stages.proto.x509.shape import shape_of

#: Version of the document: one that was read by an older reader can be read again (`longline certs reprocess`).
READER: Final = 3

#: Characters of an error message, and messages, that are kept.
MAX_ERROR_CHARS: Final = 200
MAX_ERRORS: Final = 10

#: Extensions of one certificate that are looked at; real ones have some ten.
MAX_EXTENSIONS: Final = 100

#: Octets of a serial number (RFC 5280 4.1.2.2); longer and negative ones exist and are noted.
MAX_SERIAL: Final = 20

#: Octets of a serial number that is written in decimal: Python refuses more than 4,300 digits, and nobody reads them.
MAX_DECIMAL: Final = 128

#: Every key that `document` may write: whoever writes a newer document over an older one takes the rest away.
KEYS: Final = frozenset(
    (
        "reader",
        "size",
        "parse_status",
        "error",
        "errors",
        "notes",
        "sha1",
        "md5",
        "names",
        "version",
        "serial",
        "not_before",
        "not_after",
        "validity",
        "signature_algorithm",
        "signature_oid",
        "issuer",
        "issuer_parts",
        "subject",
        "subject_parts",
        "addresses",
        "key",
        "extensions",
        "ca",
        "critical",
        "unknown_extensions",
        "validation_level",
        "precert",
        "spki_sha256",
        "tbs_sha256",
        "tbs_no_ct_sha256",
        "spki_subject_sha256",
        "subject_sha256",
        "issuer_sha256",
        "shape",
    )
)

_VERSION_TAG: Final = 0xA0
_EXTENSIONS_TAG: Final = 0xA3


@dataclass(slots=True)
class Extension:
    """One extension as it stands: its identifier, whether it is critical, its bytes."""

    oid: str
    critical: bool
    value: bytes


@dataclass(slots=True)
class Certificate:
    """What was read of one certificate."""

    der: bytes
    version: int | None = None
    serial: str | None = None  #: decimal; of more than MAX_DECIMAL octets `0x`, the first of them in hex, and `...`
    serial_bytes: int | None = None  #: octets of its value
    signature_oid: str | None = None
    signature_parameters: bytes = b""
    issuer: Name | None = None
    subject: Name | None = None
    issuer_der: bytes = b""
    subject_der: bytes = b""
    not_before: int | None = None  #: microseconds
    not_after: int | None = None
    key: dict[str, Any] | None = None
    spki: bytes = b""
    extensions: dict[str, Any] = field(default_factory=dict)  #: key of `READERS` -> what it says
    others: list[Extension] = field(default_factory=list)  #: that we do not know
    critical: set[str] = field(default_factory=set)  #: keys and OIDs of the critical ones
    broken: set[str] = field(default_factory=set)  #: keys of those that could not be read
    order: list[tuple[str, bool]] = field(default_factory=list)  #: (OID, critical) of all, as they stand
    tbs: bytes = b""
    tbs_no_ct: bytes = b""  #: without timestamps and poison: the same of a precertificate and its certificate
    signature: bytes = b""
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ca(self) -> bool | None:
        """What basicConstraints says; None: nothing."""
        constraints = self.extensions.get("basic_constraints")
        return None if constraints is None else bool(constraints["is_ca"])

    @property
    def dns_names(self) -> list[str]:
        return list(self.extensions.get("subject_alt_name", {}).get("dns_names", ()))

    @property
    def addresses(self) -> list[str]:
        return list(self.extensions.get("subject_alt_name", {}).get("ip_addresses", ()))

    @property
    def common_names(self) -> list[str]:
        return [] if self.subject is None else self.subject.values("2.5.4.3")

    @property
    def key_id(self) -> str:
        """Of the subject's key, hex."""
        return str(self.extensions.get("subject_key_id", ""))

    @property
    def authority_key_id(self) -> str:
        return str(self.extensions.get("authority_key_id", {}).get("key_id", ""))

    @property
    def signature_name(self) -> str:
        """Name of the signature algorithm, or its OID; empty: unknown."""
        oid = self.signature_oid or ""
        return oids.SIGNATURES[oid][0] if oid in oids.SIGNATURES else oid


def read(der: bytes) -> Certificate:
    """Read all of it that can be read."""
    c = Certificate(der)
    try:
        walker = Walker(der)
    except DerError as error:
        _failed(c, "certificate", error)
        return c
    try:
        _outer(walker, c)
    except DerError as error:
        _failed(c, "certificate", error)
    c.notes = walker.notes
    for remark in walker.notes:
        if remark.startswith("cut off"):
            c.errors.insert(0, f"certificate: {remark}")
    return c


def _failed(c: Certificate, what: str, error: Exception) -> None:
    if len(c.errors) < MAX_ERRORS:
        c.errors.append(f"{what}: {error}"[:MAX_ERROR_CHARS])


def _outer(walker: Walker, c: Certificate) -> None:
    outer = walker.expect(walker.root(clamp=True), SEQUENCE)
    tbs = walker.expect(walker.element(outer.body, outer.end, 1, clamp=True), SEQUENCE)
    c.tbs = c.tbs_no_ct = walker.whole(tbs)
    inner = _tbs(walker, tbs, c)
    if tbs.end == outer.end:
        raise DerError("ends before its signature")
    algorithm = walker.element(tbs.end, outer.end, 1)
    try:
        if inner is not None and walker.whole(algorithm) != inner:
            walker.note("two signature algorithms that differ")
        c.signature_oid, c.signature_parameters = _algorithm(walker, algorithm)
    except DerError as error:
        _failed(c, "signature", error)
    signature = walker.element(algorithm.end, outer.end, 1)
    if signature.tag != 0x03:
        raise DerError(f"tag 0x{signature.tag:02x} instead of a signature at byte {signature.start}")
    c.signature = walker.bits(signature)
    if signature.end != outer.end:
        walker.note(f"{outer.end - signature.end} bytes behind the signature")


def _algorithm(walker: Walker, element: Element) -> tuple[str, bytes]:
    parts = walker.children(walker.expect(element, SEQUENCE))
    if not parts:
        raise DerError(f"an algorithm without a name at byte {element.start}")
    return walker.oid(parts[0]), walker.whole(parts[1]) if len(parts) > 1 else b""


def _tbs(walker: Walker, tbs: Element, c: Certificate) -> bytes | None:
    """Its parts in their order. Returns the inner signature algorithm as it stands."""
    at, end = tbs.body, tbs.end
    inner: bytes | None = None
    c.version = 1
    steps: list[tuple[str, Callable[[Walker, Element, Certificate], None]]] = [
        ("serial", _serial),
        ("signature", _inner_algorithm),
        ("issuer", _issuer),
        ("dates", _dates),
        ("subject", _subject),
        ("key", _key),
    ]
    try:
        first = walker.element(at, end, 2)
        if first.tag == _VERSION_TAG:
            at = first.end
            c.version = walker.integer(walker.only(first, INTEGER)) + 1
            if c.version not in (1, 2, 3):
                walker.note("a version that is none of 1, 2, 3")
            if not -(2**31) < c.version < 2**31:
                c.version = None
                raise DerError("beyond reason")
    except DerError as error:
        _failed(c, "version", error)
    for what, step in steps:
        try:
            element = walker.element(at, end, 2)
        except DerError as error:  # the place of all that follows is unknown
            _failed(c, what, error)
            return inner
        at = element.end
        try:
            step(walker, element, c)
        except DerError as error:
            _failed(c, what, error)
        if what == "signature":
            inner = walker.whole(element)
    while at < end:
        try:
            element = walker.element(at, end, 2)
        except DerError as error:
            _failed(c, "extensions", error)
            return inner
        at = element.end
        if element.tag == _EXTENSIONS_TAG:
            try:
                _extensions(walker, element, tbs, c)
            except DerError as error:
                _failed(c, "extensions", error)
            break
    return inner


def _serial(walker: Walker, element: Element, c: Certificate) -> None:
    raw = walker.content(walker.expect(element, INTEGER))
    value = walker.integer(element)
    c.serial_bytes = (abs(value).bit_length() + 7) // 8
    c.serial = str(value) if len(raw) <= MAX_DECIMAL else f"0x{raw[:MAX_DECIMAL].hex()}..."
    if value <= 0:
        walker.note("a negative serial number" if value else "a serial number of zero")
    if len(raw) > MAX_SERIAL + 1 or (len(raw) == MAX_SERIAL + 1 and raw[0]):
        walker.note(f"a serial number of {len(raw)} bytes")


def _inner_algorithm(walker: Walker, element: Element, c: Certificate) -> None:
    c.signature_oid, c.signature_parameters = _algorithm(walker, element)


def _issuer(walker: Walker, element: Element, c: Certificate) -> None:
    c.issuer_der = walker.whole(element)
    c.issuer = read_name(walker, element)


def _dates(walker: Walker, element: Element, c: Certificate) -> None:
    pair = walker.children(walker.expect(element, SEQUENCE))
    if len(pair) != 2:
        raise DerError(f"a validity of {len(pair)} times at byte {element.start}")
    failed: DerError | None = None
    try:
        c.not_before = walker.time(pair[0])
    except DerError as error:
        failed = error
    c.not_after = walker.time(pair[1])
    if failed is not None:
        raise failed
    if c.not_before is not None and c.not_after < c.not_before:
        walker.note("ends before it begins")


def _subject(walker: Walker, element: Element, c: Certificate) -> None:
    c.subject_der = walker.whole(element)
    c.subject = read_name(walker, element)


def _key(walker: Walker, element: Element, c: Certificate) -> None:
    c.spki = walker.whole(walker.expect(element, SEQUENCE))
    c.key = read_key(walker, element)


def _extensions(walker: Walker, wrapper: Element, tbs: Element, c: Certificate) -> None:
    if c.version != 3:
        walker.note("extensions in a certificate that is not version 3")
    sequence = walker.only(wrapper, SEQUENCE)
    elements = walker.children(sequence)
    if len(elements) > MAX_EXTENSIONS:
        walker.note(f"{len(elements)} extensions")
    without: list[bytes] = []
    seen: set[str] = set()
    dropped = False
    for place, element in enumerate(elements):
        what = "extension"
        ct = False
        try:
            parts = walker.children(walker.expect(element, SEQUENCE)) if place < MAX_EXTENSIONS else []
            if parts:
                oid = walker.oid(parts[0])
                ct = oid in (oids.CT_SCTS, oids.CT_POISON)
                what = READERS[oid][0] if oid in READERS else oid
                if oid in seen:
                    walker.note(f"extension {what} twice")
                else:
                    seen.add(oid)
                    _extension(walker, parts, oid, c)
        except DerError as error:
            c.broken.add(what)
            _failed(c, what, error)
        dropped |= ct
        if not ct:
            without.append(walker.whole(element))
    if dropped:
        # RFC 6962 section 3.2: the TBSCertificate without the extension; one without any extension is as well without
        # the wrapper.
        body = b"".join(without)
        rest = wrap(_EXTENSIONS_TAG, wrap(SEQUENCE, body)) if body else b""
        data = walker.data
        c.tbs_no_ct = wrap(SEQUENCE, data[tbs.body : wrapper.start] + rest + data[wrapper.end : tbs.end])


def _extension(walker: Walker, parts: list[Element], oid: str, c: Certificate) -> None:
    critical = len(parts) > 2 and walker.boolean(walker.expect(parts[1], BOOLEAN))
    c.order.append((oid, critical))
    value = walker.expect(parts[-1], OCTET_STRING)
    known = READERS.get(oid)
    if critical:
        c.critical.add(known[0] if known is not None else oid)
    if known is None:
        if len(c.others) < MAX_OTHERS:
            c.others.append(Extension(oid, critical, walker.content(value)))
        return
    key, reader = known
    c.extensions[key] = reader(walker, walker.element(value.body, value.end, value.depth + 1))


def names_of(c: Certificate) -> list[str]:
    """DNS names of SAN and common names that could be names of hosts: lower case, sorted, each once, bounded. Longer
    than a name can be is none of a host, and would burst an index."""
    found = {name.lower() for name in c.dns_names}
    found.update(name.lower() for name in c.common_names if name and not any(ch.isspace() for ch in name))
    return sorted(name for name in found if len(name) <= MAX_NAME)[:MAX_NAMES]


def level_of(c: Certificate) -> str:
    """DV, OV, IV, EV by the policies of the CA/Browser Forum, or `unknown`."""
    for policy in c.extensions.get("certificate_policies", ()):
        if policy["id"] in oids.LEVELS:
            return oids.LEVELS[policy["id"]]
    return "unknown"


def document(c: Certificate) -> dict[str, Any]:
    """What is stored of it, beside the DER. What could not be read is missing, `parse_status` is `fail` then and
    `error` says why; `notes` says what is odd. Times are microseconds, hashes and big numbers hex, the serial number
    decimal.

    parse_status  success | fail         error, errors   why, if fail       notes   what is odd, in words
    version       1, 2 or 3              serial          decimal digits
    issuer, subject  RFC 4514            issuer_parts, subject_parts   key -> values
    not_before, not_after                validity        seconds
    names         DNS names of SAN and common name, lower case, sorted      addresses  IP addresses of SAN
    key           type, bits, curve, numbers             ca      of basicConstraints, where present
    signature_algorithm, signature_oid   extensions      key -> what it says   critical   keys of the critical ones
    unknown_extensions  [{id, critical, value}]          validation_level   DV OV IV EV unknown    precert  if poisoned
    size sha1 md5 spki_sha256 tbs_sha256 tbs_no_ct_sha256 spki_subject_sha256 subject_sha256 issuer_sha256
    shape         how it was made (`stages.proto.x509.shape`)
    """
    said: dict[str, Any] = {
        "reader": READER,
        "size": len(c.der),
        "parse_status": "fail" if c.errors else "success",
        "sha1": sha1(c.der, usedforsecurity=False).hexdigest(),
        "md5": md5(c.der, usedforsecurity=False).hexdigest(),
        "names": names_of(c),
    }
    if c.errors:
        said |= {"error": c.errors[0], "errors": c.errors}
    if c.notes:
        said["notes"] = c.notes
    simple = {"version": c.version, "serial": c.serial, "not_before": c.not_before, "not_after": c.not_after}
    said |= {key: value for key, value in simple.items() if value is not None}
    if c.not_before is not None and c.not_after is not None:
        said["validity"] = (c.not_after - c.not_before) // 1_000_000
    if c.signature_oid is not None:
        said |= {"signature_algorithm": c.signature_name, "signature_oid": c.signature_oid}
    for key, name in (("issuer", c.issuer), ("subject", c.subject)):
        if name is not None:
            said |= {key: name.rfc4514(), f"{key}_parts": name.parts()}
    if c.addresses:
        said["addresses"] = sorted(c.addresses)
    if c.key is not None:
        said["key"] = c.key
    if c.extensions:
        said["extensions"] = c.extensions
    if c.ca is not None:
        said["ca"] = c.ca
    if c.critical:
        said["critical"] = sorted(c.critical)
    if c.others:
        said["unknown_extensions"] = [
            {"id": e.oid, "critical": e.critical, "value": e.value[:MAX_UNKNOWN_BYTES].hex()} for e in c.others
        ]
    said["validation_level"] = level_of(c)
    if c.extensions.get("ct_poison"):
        said["precert"] = True
    said |= _hashes(c)
    if c.tbs:
        said["shape"] = shape_of(c)
    return said


def _hashes(c: Certificate) -> dict[str, str]:
    of = {
        "spki_sha256": c.spki,
        "tbs_sha256": c.tbs,
        "tbs_no_ct_sha256": c.tbs_no_ct,
        "spki_subject_sha256": c.spki + c.subject_der if c.spki and c.subject_der else b"",
        "subject_sha256": c.subject_der,
        "issuer_sha256": c.issuer_der,
    }
    return {key: sha256(raw).hexdigest() for key, raw in of.items() if raw}
