"""The certificates of the simulated Internet: a few of every sort that a measurement meets.

An `Identity` is what one TLS service shows: a chain as DER, leaf first, and the key. Keys are new in each run, so the
hashes are too: whoever makes the identities reports them, and the truth says only which number a service shows
(`sorts.number`). One root signs one intermediate, which signs the leaves; the root is never sent.

Imported by the far process alone: `cryptography` takes a while to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv4Address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from stages.simnet.sorts import NAME, OTHER_NAME, PLAN, Sort

_DAY: Final = timedelta(days=1)
_RSA_BITS: Final = 2048

#: Every eighth identity has an RSA key: signing with it costs a server twenty times what P-256 does.
_RSA_EVERY: Final = 8

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Identity:
    """What one TLS service shows."""

    sort: Sort
    chain: tuple[bytes, ...]  #: DER, leaf first, without the root
    key: bytes  #: PEM; empty for what no library can load

    @property
    def pem(self) -> bytes:
        """Key and chain in one, as `SSLContext.load_cert_chain` reads them."""
        certificates = [x509.load_der_x509_certificate(der) for der in self.chain]
        return self.key + b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)

    @property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of each certificate, hexadecimal, leaf first."""
        return tuple(sha256(der).hexdigest() for der in self.chain)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _sign(
    subject: str,
    key: _Key,
    issuer: str,
    signer: _Key,
    validity: tuple[datetime, datetime],
    *,
    authority: bool = False,
    name: str | None = None,
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if name is not None:
        names = [x509.DNSName(name), x509.IPAddress(IPv4Address("10.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def break_der(der: bytes) -> bytes:
    """The same outer SEQUENCE and length, and an inner one that says it is longer than all there is."""
    inner = 4  # a certificate is longer than 255 bytes: tag, 0x82, two bytes of length
    return der[:inner] + b"\x30\x84\x7f\xff\xff\xff" + der[inner + 6 :]


def make(now: datetime, plan: Sequence[Sort] = PLAN) -> tuple[list[Identity], bytes]:
    """The identities of a run, one for each entry of `plan`, and the root's DER. `now` is aware, in UTC."""
    ages = {
        Sort.EXPIRED: (now - 400 * _DAY, now - 35 * _DAY),
        Sort.NOT_YET_VALID: (now + 30 * _DAY, now + 395 * _DAY),
    }
    lasting = (now - 30 * _DAY, now + 335 * _DAY)
    curve = ec.SECP256R1()
    root_key, middle_key = ec.generate_private_key(curve), ec.generate_private_key(curve)
    root_name, middle_name = "Simnet Root", "Simnet Intermediate"
    root = _sign(root_name, root_key, root_name, root_key, lasting, authority=True)
    middle = _sign(middle_name, middle_key, root_name, root_key, lasting, authority=True)
    identities = []
    for number, sort in enumerate(plan):
        key: _Key = ec.generate_private_key(curve)
        if number % _RSA_EVERY == _RSA_EVERY - 1:
            key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        common = f"host{number}.{NAME}"
        name = OTHER_NAME if sort is Sort.WRONG_NAME else f"*.{NAME}"
        if sort is Sort.SELF_SIGNED:
            chain: tuple[bytes, ...] = (_sign(common, key, common, key, lasting, name=name),)
        else:
            leaf = _sign(common, key, middle_name, middle_key, ages.get(sort, lasting), name=name)
            chain = (break_der(leaf),) if sort is Sort.UNPARSABLE else (leaf, middle)
        pem = b""
        if sort is not Sort.UNPARSABLE:
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        identities.append(Identity(sort, chain, pem))
    return identities, root
