"""Certificates for rules: any names, self-signed or issued by somebody, few or no extensions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from stages.proto.rules.fields import Seen

START = datetime(2024, 1, 1, tzinfo=UTC)
#: Within the life of all that is made here.
AT = int((START + timedelta(minutes=1)).timestamp() * 1e6)

OIDS = {
    "CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME, "L": NameOID.LOCALITY_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER, "email": NameOID.EMAIL_ADDRESS,
}  # fmt: skip

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def key(kind: str, number: int = 0) -> Key:
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa")))


def name(parts: Mapping[str, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(OIDS[word], value) for word, value in parts.items()])


def made(
    subject: Mapping[str, str],
    issuer: Mapping[str, str] | None = None,
    *,
    kind: str = "ec",
    life: timedelta = timedelta(days=365),
    dns: tuple[str, ...] = (),
    ca: bool = False,
    serial: int = 4711,
    own: bool | None = None,
) -> bytes:
    """DER. `issuer` None: itself. `own`: whether its own key signs it; default: where it is its own issuer."""
    own = issuer is None if own is None else own
    mine, signer = key(kind), key(kind) if own else key(kind, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(subject if issuer is None else issuer))
        .public_key(mine.public_key())
        .serial_number(serial)
        .not_valid_before(START)
        .not_valid_after(START + life)
    )
    if dns:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in dns]), False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def seen(leaf: bytes | None = None, chain: int = 1, **fields: object) -> Seen:
    """A handshake of TLS 1.2 that showed this leaf."""
    usual: dict[str, object] = {
        "at": AT, "outcome": "ok", "version": 0x0303, "suite": 0x0039, "compression": 0, "session_id": 32,
        "extensions": (0xFF01, 11), "chain_length": chain if leaf is not None else None, "leaf": leaf,
    }  # fmt: skip
    return Seen(**(usual | fields))  # type: ignore[arg-type]
