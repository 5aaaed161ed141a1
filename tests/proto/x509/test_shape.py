"""What certificates of one maker have in common, and what tells makers apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given

from stages.proto.x509.certificate import KEYS, document, read
from stages.proto.x509.shape import DIGITS, shape_of, shape_text

START = datetime(2024, 1, 1, tzinfo=UTC)
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def made(
    name: str,
    *,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = EC,
    serial: int = 2**62,
    life: timedelta = timedelta(days=365),
    organization: str | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> bytes:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization is not None:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name(attributes))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(START)
        .not_valid_after(START + life)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def text(der: bytes) -> str:
    return shape_text(read(der))


def test_in_words() -> None:
    assert text(made("a.test")) == "v3 ecdsa-with-SHA256 ec256 serial8 365d CN;CN -"
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    san = (x509.SubjectAlternativeName([x509.DNSName("a.test")]), False)
    one = made("a.test", key=RSA, serial=5, life=timedelta(hours=2), organization="x", extensions=(san, ca))
    said = text(one)
    assert said == "v3 sha256WithRSAEncryption rsa2048 serial4 2h O,CN;O,CN 2.5.29.17,2.5.29.19!"
    assert text(made("a.test", serial=2**158)).split()[3] == "serial20"
    assert text(made("a.test", life=timedelta(minutes=5))).split()[4] == "0h"


def test_the_maker_not_the_made() -> None:
    one = made("a.test")
    assert (
        shape_of(read(one))
        == shape_of(read(made("b.test", serial=2**63 - 1)))
        == shape_of(read(made("c", serial=2**40)))
    )
    others = [
        made("a.test", key=RSA),
        made("a.test", serial=1),
        made("a.test", life=timedelta(days=366)),
        made("a.test", organization="x"),
        made("a.test", extensions=((x509.BasicConstraints(ca=True, path_length=None), True),)),
        made("a.test", extensions=((x509.BasicConstraints(ca=True, path_length=None), False),)),
    ]
    assert len({shape_of(read(der)) for der in (one, *others)}) == len(others) + 1


def test_it_is_in_the_document() -> None:
    said = document(read(made("a.test")))
    assert len(said["shape"]) == DIGITS
    assert "shape" in KEYS
    assert "shape" not in document(read(b"no certificate"))


@given(st.binary(max_size=400), st.integers(0, 300))
def test_of_anything(noise: bytes, cut: int) -> None:
    for der in (noise, made("a.test")[:cut] + noise):
        assert text(der).startswith("v")
        assert len(shape_of(read(der))) == DIGITS
