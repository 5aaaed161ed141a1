"""What goes through a broker between an agent and its coordinator: signed, since no TLS reaches from one to the other.

An envelope is one line, `HEADER.BODY.CERTIFICATE.SIGNATURE`, each in base64url (as JWS has it, RFC 7515 section 3.1).
The signature (ECDSA on P-256 with SHA-256) is of what it is meant as, the certificate, the header and the body. The
certificate is one of the fleet's own authority, and what it is for says who may have signed: an agent's is for
clients, the coordinator's for servers, so neither passes for the other. Who has no certificate yet leaves the last two
parts empty, and may ask for one.

A request names a *box*, random and of its process, which the answer is addressed to, and a moment that only grows, so
that it counts once. An answer names the box and a hash of the whole request, so that it belongs to that question, and
nobody can have another question answered in its place. Pure: time comes in.
"""

from __future__ import annotations

import datetime as dt
import re
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Final, Generic, Literal, TypeVar

import pydantic
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID

from stages.core.errors import HostError, UsageError
from stages.fleet import ca, messages
from stages.fleet.messages import MAX_MESSAGE
from stages.fleet.work import Strict

#: Bytes of a line: the largest message in base64, and 16 KiB for what stands around it.
MAX_LINE: Final = MAX_MESSAGE * 4 // 3 + (16 << 10)

#: The same of those who show no certificate: a signing request and its token.
MAX_STRANGERS_LINE: Final = 32 << 10

#: Seconds that a request may be old, or ahead of our clock: for what waited while a coordinator began anew, and clocks
#: that nobody has set for weeks.
WINDOW: Final = 120.0

#: Certificates that were found good and are kept at hand.
MAX_KNOWN: Final = 10_000

#: Bytes of a header in base64, at most.
MAX_HEAD: Final = 1_024

_MICROSECONDS: Final = 1_000_000
_PART: Final = re.compile(rb"[A-Za-z0-9_-]*").fullmatch

Box = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{32}$")]
Moment = Annotated[int, pydantic.Field(ge=1, lt=1 << 63)]  #: microseconds since the epoch


class Request(Strict):
    """What stands above a question."""

    v: Literal[1] = 1
    box: Box  #: the answer goes there
    at: Moment  #: by the agent's clock, and more than in all its requests before
    path: Annotated[str, pydantic.Field(max_length=100, pattern=r"^/v1/[a-z]+$")]
    token: Annotated[str, pydantic.Field(max_length=20, pattern=r"^[0-9]*$")] = ""


class Reply(Strict):
    """What stands above an answer."""

    v: Literal[1] = 1
    box: Box
    to: Box  #: `digest` of the request
    status: Annotated[int, pydantic.Field(ge=100, le=599)]


Head = TypeVar("Head", Request, Reply)

#: What an envelope is meant as, and the usage of a certificate that may sign it.
_MEANT: Final = {
    Request: (b"longline fleet request 1", ExtendedKeyUsageOID.CLIENT_AUTH),
    Reply: (b"longline fleet reply 1", ExtendedKeyUsageOID.SERVER_AUTH),
}


#: What cryptography raises for bytes that are no certificate, or one that another has signed.
_NO_CERTIFICATE: Final = (
    ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion, x509.ExtensionNotFound,
    CryptographyDeprecationWarning,
)  # fmt: skip


class Malformed(ValueError):
    """It is no envelope."""


class Forged(ValueError):
    """It is one, and not of whom it should be."""


@dataclass(frozen=True, slots=True)
class Opened(Generic[Head]):
    """An envelope that is what it says."""

    head: Head
    body: bytes
    digest: str  #: of the line
    serial: str | None = None  #: of the certificate; None of a stranger's
    ended: str = ""  #: what is wrong with the days of the certificate


class Signer:
    """Signs for one side. Blocks on its files. Raises UsageError where they are not there, HostError."""

    def __init__(self, identity: ca.Identity) -> None:
        try:
            key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
        except FileNotFoundError as error:
            raise UsageError("--folder", error.filename, "no such file: enrol first (longline agent --token)") from None
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise HostError(f"{identity.folder}: its certificate cannot be read: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise HostError(f"{identity.key} is no key on P-256")
        self._key = key
        self._certificate = _encoded(certificate.public_bytes(serialization.Encoding.DER))

    def seal(self, head: Request | Reply, body: bytes) -> bytes:
        meaning, _ = _MEANT[type(head)]
        parts = _encoded(messages.dump(head)), _encoded(body)
        signature = self._key.sign(_signed(meaning, self._certificate, *parts), ec.ECDSA(hashes.SHA256()))
        return b".".join((*parts, self._certificate, _encoded(signature)))


def unsigned(head: Request, body: bytes) -> bytes:
    """The envelope of who has no certificate yet."""
    return b".".join((_encoded(messages.dump(head)), _encoded(body), b"", b""))


class Opener(Generic[Head]):
    """Opens what is signed in the name of one authority."""

    def __init__(self, authority: bytes, kind: type[Head]) -> None:
        """`authority`: its certificate, PEM. Raises ValueError."""
        self._authority = x509.load_pem_x509_certificate(authority)
        self._kind: type[Head] = kind
        self._meaning, self._usage = _MEANT[kind]
        self._known: OrderedDict[bytes, tuple[x509.Certificate, ec.EllipticCurvePublicKey]] = OrderedDict()

    def open(self, line: bytes, now: float) -> Opened[Head]:
        """Raises Malformed, Forged."""
        head, body, raw, signature = _parts(self._kind, line)
        if not raw and not signature and self._kind is Request:
            return Opened(head, body, digest(line))
        encoded_head, encoded_body, encoded_certificate, _ = line.split(b".")
        certificate, key = self._certificate(raw)
        try:
            key.verify(
                signature, _signed(self._meaning, encoded_certificate, encoded_head, encoded_body),
                ec.ECDSA(hashes.SHA256()),
            )  # fmt: skip
        except InvalidSignature:
            raise Forged("its signature is not that of its certificate's key") from None
        return Opened(head, body, digest(line), ca.serial_of(certificate), _ended(certificate, now))

    def _certificate(self, raw: bytes) -> tuple[x509.Certificate, ec.EllipticCurvePublicKey]:
        known = self._known.get(raw)
        if known is not None:
            self._known.move_to_end(raw)
            return known
        try:
            with warnings.catch_warnings():  # cryptography only warns of some that none may have
                warnings.simplefilter("error", CryptographyDeprecationWarning)
                certificate = x509.load_der_x509_certificate(raw)
            certificate.verify_directly_issued_by(self._authority)
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            key = certificate.public_key()
        except _NO_CERTIFICATE as error:
            raise Forged(f"its certificate is not one of our authority: {str(error) or type(error).__name__}") from None
        if list(usage) != [self._usage] or not isinstance(key, ec.EllipticCurvePublicKey):
            raise Forged("its certificate is for another use")
        while len(self._known) >= MAX_KNOWN:
            self._known.popitem(last=False)
        self._known[raw] = certificate, key
        return certificate, key


def box_of(line: bytes) -> str:
    """Whom a reply is for, unproven. Raises Malformed."""
    return _head(Reply, _decoded(line[:MAX_HEAD].partition(b".")[0])).box


def unproven(kind: type[Head], line: bytes) -> Opened[Head]:
    """What an envelope says, whoever says it. Raises Malformed."""
    head, body, _, _ = _parts(kind, line)
    return Opened(head, body, digest(line))


def digest(line: bytes) -> str:
    """What an answer names its request by."""
    return blake2b(line, digest_size=16).hexdigest()


def _parts(kind: type[Head], line: bytes) -> tuple[Head, bytes, bytes, bytes]:
    """(head, body, certificate, signature), of which nothing is proven."""
    if len(line) > MAX_LINE:
        raise Malformed(f"a line of {len(line)} bytes, at most {MAX_LINE}")
    parts = line.split(b".", 4)
    if len(parts) != 4:
        raise Malformed("not HEADER.BODY.CERTIFICATE.SIGNATURE")
    if not (parts[2] or parts[3]) and len(line) > MAX_STRANGERS_LINE:
        raise Malformed(f"a line of {len(line)} bytes without a certificate, at most {MAX_STRANGERS_LINE}")
    head, body, certificate, signature = map(_decoded, parts)
    return _head(kind, head), body, certificate, signature


def _head(kind: type[Head], raw: bytes) -> Head:
    try:
        return messages.parse(kind, raw)
    except ValueError as error:
        raise Malformed(f"header: {error}") from None


def _signed(meaning: bytes, certificate: bytes, head: bytes, body: bytes) -> bytes:
    return b".".join((meaning, certificate, head, body))  # none of the parts has a full stop in it


def _encoded(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    """Of base64url in its one right spelling."""
    if not _PART(text):
        raise Malformed("not base64url")
    try:
        raw = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except Base64Error as error:
        raise Malformed(f"not base64url: {error}") from None
    if _encoded(raw) != text:
        raise Malformed("not base64url in its one spelling")
    return raw


def _ended(certificate: x509.Certificate, now: float) -> str:
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    if moment > certificate.not_valid_after_utc:
        return f"the certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if moment < certificate.not_valid_before_utc:
        return f"the certificate begins on {certificate.not_valid_before_utc:%Y-%m-%d}: is a clock wrong?"
    return ""


def moment(now: float) -> int:
    """Seconds since the epoch as they stand in a request."""
    return int(now * _MICROSECONDS)


def skew(at: int, now: float) -> float:
    """Seconds that the moment of a request is ahead of `now`."""
    return at / _MICROSECONDS - now
