"""What is read out of a certificate's DER, with `cryptography`.

A certificate is kept whatever it is: what cannot be read is missing, `parse_status` is `fail` and `error` says why; the
DER stands beside it, so that it can be read again by a better program. `Known` remembers which certificates are
stored already, so that each is parsed once: a scan meets the same intermediate a million times.

`cryptography` is imported at the first certificate, not with this module.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: Names kept of one certificate; the record holds real ones of thousands, and each is an entry of an index.
MAX_NAMES: Final = 1_000

#: Characters of an error message that are kept.
MAX_ERROR_CHARS: Final = 200

#: Certificates remembered as stored: some 15 MB.
KNOWN_CERTIFICATES: Final = 100_000

#: warnings.catch_warnings is not safe between threads.
_QUIET: Final = threading.Lock()


@contextmanager
def _quietly() -> Iterator[None]:
    """cryptography warns of what it will refuse one day (negative serial numbers); here that is everyday input."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parse(der: bytes) -> dict[str, Any]:
    """The fields of a certificate. Never raises for any bytes.

    parse_status  success | fail         error        why, if fail
    version       1, 2 or 3              serial       decimal digits (up to 160 bits and more)
    issuer, subject  RFC 4514            signature_algorithm  name, or the OID
    not_before, not_after  microseconds  names        DNS names of SAN and common name, lower case, sorted
    addresses     IP addresses of SAN    key          type, bits, curve
    spki_sha256   hex                    ca           of basicConstraints, where present
    size          bytes of the DER
    """
    fields: dict[str, Any] = {"size": len(der), "names": []}
    errors: list[str] = []
    with _quietly():
        from cryptography import x509

        try:
            certificate = x509.load_der_x509_certificate(der)
        except Exception as error:  # ValueError mostly; a version that is none (InvalidVersion) is not one
            errors.append(_said(error))
        else:
            for read in (_version, _serial, _dates, _signature, _issuer, _subject, _names, _constraints, _key):
                try:
                    read(certificate, fields)
                except Exception as error:  # it names what is wrong with the bytes in many ways
                    errors.append(f"{read.__name__.lstrip('_')}: {_said(error)}")
    fields["parse_status"] = "fail" if errors else "success"
    if errors:
        fields["error"] = errors[0]
    return fields


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:MAX_ERROR_CHARS]


def microseconds(moment: datetime) -> int:
    """A date with its offset as microseconds since the epoch, exactly."""
    whole = moment.replace(microsecond=0)
    return round(whole.timestamp()) * 1_000_000 + moment.microsecond


def _version(certificate: Certificate, fields: dict[str, Any]) -> None:
    fields["version"] = int(certificate.version.value) + 1


def _serial(certificate: Certificate, fields: dict[str, Any]) -> None:
    fields["serial"] = str(certificate.serial_number)


def _dates(certificate: Certificate, fields: dict[str, Any]) -> None:
    fields["not_before"] = microseconds(certificate.not_valid_before_utc)
    fields["not_after"] = microseconds(certificate.not_valid_after_utc)


def _signature(certificate: Certificate, fields: dict[str, Any]) -> None:
    oid = certificate.signature_algorithm_oid
    name = getattr(oid, "_name", "")
    fields["signature_algorithm"] = name if name and name != "Unknown OID" else oid.dotted_string


def _issuer(certificate: Certificate, fields: dict[str, Any]) -> None:
    fields["issuer"] = certificate.issuer.rfc4514_string()


def _subject(certificate: Certificate, fields: dict[str, Any]) -> None:
    fields["subject"] = certificate.subject.rfc4514_string()


def _names(certificate: Certificate, fields: dict[str, Any]) -> None:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    names: set[str] = set()
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        value = attribute.value
        if isinstance(value, str) and value and not any(c.isspace() for c in value):
            names.add(value.lower())
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        names.update(name.lower() for name in san.get_values_for_type(x509.DNSName))
        addresses = sorted(str(address) for address in san.get_values_for_type(x509.IPAddress))
        if addresses:
            fields["addresses"] = addresses[:MAX_NAMES]
    finally:
        fields["names"] = sorted(names)[:MAX_NAMES]


def _constraints(certificate: Certificate, fields: dict[str, Any]) -> None:
    from cryptography import x509

    try:
        fields["ca"] = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return


def _key(certificate: Certificate, fields: dict[str, Any]) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = certificate.public_key()
    known: dict[str, Any] = {"type": type(key).__name__.removesuffix("PublicKey").lstrip("_").lower()}
    bits = getattr(key, "key_size", None)
    if bits is not None:
        known["bits"] = bits
    curve = getattr(key, "curve", None)
    if curve is not None:
        known["curve"] = curve.name
    fields["key"] = known
    fields["spki_sha256"] = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class Known:
    """The certificates stored of late, by SHA-256; the least recently seen are forgotten first."""

    def __init__(self, size: int = KNOWN_CERTIFICATES, read: Callable[[bytes], dict[str, Any]] = parse) -> None:
        self._size = size
        self._read = read
        self._stored: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stored)

    def fields(self, digest: str, der: bytes) -> dict[str, Any] | None:
        """What was read out of it, or None if it is known to be stored."""
        if digest in self._stored:
            self._stored.move_to_end(digest)
            return None
        return self._read(der)

    def stored(self, digests: Iterable[str]) -> None:
        """These are in the store now."""
        for digest in digests:
            self._stored[digest] = None
            self._stored.move_to_end(digest)
        while len(self._stored) > self._size:
            self._stored.popitem(last=False)

    def forget(self, digests: Iterable[str]) -> None:
        """These are not in the store (any more)."""
        for digest in digests:
            self._stored.pop(digest, None)
