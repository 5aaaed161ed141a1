"""A small certificate authority: its own, the coordinator's and the agents' certificates, and one-time tokens.

ECDSA on P-256 throughout (RFC 5480). The name of an agent's certificate is its alias; nobody but the coordinator reads
it, so there is no host name in it. An agent makes its key itself and never shows it: it sends a signing request
(PKCS #10, RFC 2986) with its token.

A token is `ll1.SECRET.FINGERPRINT`: the secret is 160 random bits, the fingerprint is that of the authority, so that an
agent which was told nothing else knows whom it talks to. Of the secret only the hash is kept.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import secrets
from base64 import b32encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stages.core import files
from stages.core.errors import HostError, UsageError

#: Of the authority; of a server or an agent: about two years, the longest that is common practice for a private one.
AUTHORITY_DAYS: Final = 3_650
CERTIFICATE_DAYS: Final = 730

#: Seconds that a clock may be behind ours.
SKEW: Final = dt.timedelta(minutes=10)

#: Random bytes of a token; and how long it may be used.
TOKEN_BYTES: Final = 20
TOKEN_SECONDS: Final = 7 * 86_400.0

ALIAS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII).fullmatch
_TOKEN: Final = re.compile(r"ll1\.([A-Z2-7]{32})\.([0-9a-f]{64})", re.ASCII).fullmatch

#: The name in the request of an agent that lets its token say what it is called.
ANY_ALIAS: Final = "agent"

KEY, CERTIFICATE, AUTHORITY = "key.pem", "certificate.pem", "authority.pem"


@dataclass(frozen=True, slots=True)
class Identity:
    """Files of one side: its key, its certificate, and the authority that it trusts."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / KEY

    @property
    def certificate(self) -> Path:
        return self.folder / CERTIFICATE

    @property
    def authority(self) -> Path:
        return self.folder / AUTHORITY

    @property
    def there(self) -> bool:
        return self.key.is_file() and self.certificate.is_file() and self.authority.is_file()


class Authority:
    """Signs. Raises UsageError where its folder holds none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            key = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
            self.certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        except OSError as error:
            raise UsageError("--folder", str(folder), f"no authority: {error.strerror}; longline fleet init") from None
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError("--folder", str(folder), f"the authority cannot be read: {error}") from None
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    @classmethod
    def make(cls, folder: Path, now: dt.datetime) -> Authority:
        """A new one. Raises UsageError where there is one already, HostError."""
        if (folder / "ca-key.pem").exists():
            raise UsageError("--folder", str(folder), "there is an authority; its agents would be lost")
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Longline fleet {secrets.token_hex(4)}")])
        builder = _builder(name, name, key.public_key(), now, AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        certificate = builder.sign(key, hashes.SHA256())
        write_private(folder / "ca-key.pem", _pem(key))
        write_private(folder / AUTHORITY, certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.pem)

    def server(self, identity: Identity, hosts: tuple[str, ...], now: dt.datetime) -> None:
        """A key and a certificate for a coordinator that agents reach as `hosts`."""
        names: list[x509.GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coordinator")])
        builder = _builder(subject, self.certificate.subject, key.public_key(), now, CERTIFICATE_DAYS)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        write_private(identity.key, _pem(key))
        self._sign(builder, identity, ExtendedKeyUsageOID.SERVER_AUTH)

    def agent(self, request: bytes, alias: str, now: dt.datetime) -> tuple[bytes, str, float]:
        """(certificate as PEM, its serial number in hex, when it ends) for a signing request. Its name is not looked
        at: the alias is that of the token. Raises ValueError."""
        try:
            csr = x509.load_pem_x509_csr(request)
            public = csr.public_key()
            good = csr.is_signature_valid
        except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
            raise ValueError(f"not a signing request: {error}") from None
        if not good or not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
            raise ValueError("not a signing request of a key on P-256, signed by it")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, alias)])
        builder = _builder(subject, self.certificate.subject, public, now, CERTIFICATE_DAYS)
        certificate = self._signed(builder, ExtendedKeyUsageOID.CLIENT_AUTH)
        ends = certificate.not_valid_after_utc.timestamp()
        return certificate.public_bytes(serialization.Encoding.PEM), serial_of(certificate), ends

    def _sign(self, builder: x509.CertificateBuilder, identity: Identity, usage: x509.ObjectIdentifier) -> None:
        certificate = self._signed(builder, usage)
        write_private(identity.certificate, certificate.public_bytes(serialization.Encoding.PEM))

    def _signed(self, builder: x509.CertificateBuilder, usage: x509.ObjectIdentifier) -> x509.Certificate:
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())


def request(alias: str) -> tuple[bytes, bytes]:
    """(key, signing request), both PEM, for an agent that enrols."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, alias)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return _pem(key), csr.public_bytes(serialization.Encoding.PEM)


def new_token(authority: str) -> tuple[str, str]:
    """(token, hash of it) for the authority with this fingerprint."""
    token = f"ll1.{b32encode(secrets.token_bytes(TOKEN_BYTES)).decode()}.{authority}"
    return token, hash_of(token)


def read_token(token: str) -> str:
    """The fingerprint in it. Raises UsageError; the token is not shown."""
    found = _TOKEN(token.strip())
    if found is None:
        raise UsageError("--token", None, "not a token of longline fleet enrol (ll1....)")
    return found[2]


def hash_of(token: str) -> str:
    return sha256(token.strip().encode()).hexdigest()


def fingerprint(pem: bytes) -> str:
    """SHA-256 of a certificate, 64 hex digits. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()


def alias_asked(request: bytes) -> str:
    """The name in a signing request. Raises ValueError."""
    try:
        return str(x509.load_pem_x509_csr(request).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm) as error:
        raise ValueError(f"not a signing request with a name: {error}") from None


def serial_of(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


def serial_in(der: bytes) -> str:
    """The serial number of a certificate as it was shown in a handshake."""
    return serial_of(x509.load_der_x509_certificate(der))


def alias_in(identity: Identity) -> str:
    """The alias that an agent's certificate names. Raises UsageError."""
    try:
        certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
        return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    except (OSError, ValueError, IndexError) as error:
        raise UsageError("--folder", str(identity.folder), f"its certificate cannot be read: {error}") from None


def ended(identity: Identity, now: dt.datetime) -> str:
    """When its certificate ended, as a date; empty while it is good. Raises UsageError."""
    try:
        ends = x509.load_pem_x509_certificate(identity.certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise UsageError("--folder", str(identity.folder), f"its certificate cannot be read: {error}") from None
    return f"{ends:%Y-%m-%d}" if ends <= now else ""


def write_private(path: Path, content: bytes) -> None:
    """For our eyes only (mode 0600), whole or not at all. Raises HostError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(path, content, files.PRIVATE)
    except OSError as error:
        raise HostError(f"{path} cannot be written: {error.strerror}") from None


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - SKEW).not_valid_after(now + dt.timedelta(days=days))


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign, key_cert_sign=sign, crl_sign=sign, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
