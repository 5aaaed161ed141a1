"""Certificates for the tests' own TLS servers: a root, an intermediate and leaves of many sorts, made anew each run."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Identity:
    """A key and the chain that is sent with it, leaf first."""

    key: Key
    certificates: tuple[x509.Certificate, ...]

    @property
    def chain(self) -> list[bytes]:
        return [certificate.public_bytes(serialization.Encoding.DER) for certificate in self.certificates]

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def chain_pem(self) -> bytes:
        return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in self.certificates)


def new_key(kind: str = "ec") -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def signed(
    subject: str, key: Key, issuer: str, signer: Key, *, ends: timedelta = 30 * DAY, padding: int = 0, ca: bool = False
) -> x509.Certificate:
    """One certificate; `padding`: bytes of an extension that makes it large."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 400 * DAY)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    )
    if padding:
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, bytes(padding)), critical=False)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, algorithm)


@cache
def identity(
    name: str = "server.test", kind: str = "ec", *, middles: int = 1, ends: int = 30, padding: int = 0
) -> Identity:
    """A leaf under `middles` intermediates; `kind` of its key: ec, rsa, ed25519. It ends in `ends` days."""
    signer, issuer = new_key(), "Test Root"
    chain: list[x509.Certificate] = []
    for number in range(middles):
        key, subject = new_key(), f"Test Intermediate {number}"
        chain.append(signed(subject, key, issuer, signer, padding=padding, ca=True))
        signer, issuer = key, subject
    key = new_key(kind)
    leaf = signed(name, key, issuer, signer, ends=ends * DAY, padding=padding)
    return Identity(key, (leaf, *reversed(chain)))


def server_context(
    who: Identity,
    version: ssl.TLSVersion | None = None,
    *,
    alpn: Sequence[str] = (),
    ciphers: str | None = None,
    tickets: int | None = None,
    client: ssl.VerifyMode = ssl.CERT_NONE,
) -> ssl.SSLContext:
    """A server's context. `version`: this one only; `client`: whether a client certificate is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if version is not None:
        # Set as numbers: the enumeration of what is deprecated warns.
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        set_versions(context, version)
    context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if tickets is not None:
        context.num_tickets = tickets
    if client is not ssl.CERT_NONE:
        context.verify_mode = client
        context.load_verify_locations(cadata=identity("client-ca.test", middles=0).chain[0])
    load(context, who)
    return context


def set_versions(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version
        context.maximum_version = version


def load(context: ssl.SSLContext, who: Identity) -> None:
    """load_cert_chain reads files only."""
    file = os.memfd_create("identity")
    try:
        with open(file, "wb", closefd=False) as out:
            out.write(who.key_pem + who.chain_pem)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
