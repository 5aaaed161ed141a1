"""Public keys: their numbers are the library's."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stages.proto.der import DerError, Walker
from stages.proto.x509.keys import decimal, read_key
from tests.certificates.zoo import SEQ, bit_string, dsa_key, ed, integer, oid, rsa, tlv


def read(spki: bytes) -> dict[str, Any]:
    walker = Walker(spki)
    return read_key(walker, walker.root())


def test_rsa() -> None:
    key = read(rsa(2_048, exponent=3).spki)
    assert (key["type"], key["bits"], key["exponent"]) == ("rsa", 2_048, "3")
    assert int(key["modulus"], 16).bit_length() == 2_048


@pytest.mark.parametrize(
    "curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1(), ec.BrainpoolP256R1()]
)
def test_elliptic(curve: ec.EllipticCurve) -> None:
    public = ec.generate_private_key(curve).public_key()
    key = read(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    numbers = public.public_numbers()
    assert (key["curve"], key["bits"]) == (curve.name, curve.key_size)
    assert (int(key["x"], 16), int(key["y"], 16)) == (numbers.x, numbers.y)


def test_others() -> None:
    assert (read(ed().spki)["type"], read(ed().spki)["bits"]) == ("ed25519", 256)
    for private, kind in ((ed448.Ed448PrivateKey.generate(), "ed448"), (x25519.X25519PrivateKey.generate(), "x25519")):
        spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert read(spki)["type"] == kind
    numbers = dsa_key().private.public_key().public_numbers()
    key = read(dsa_key().spki)
    assert (key["bits"], int(key["y"], 16), int(key["p"], 16)) == (1_024, numbers.y, numbers.parameter_numbers.p)


def test_a_curve_without_a_name() -> None:
    explicit = tlv(SEQ, tlv(SEQ, oid("1.2.840.10045.2.1"), tlv(SEQ, integer(1))), bit_string(b"\x04ab"))
    assert read(explicit)["curve"] == "explicit"
    unknown = tlv(SEQ, tlv(SEQ, oid("1.2.840.10045.2.1"), oid("1.2.3")), bit_string(b"\x02ab"))
    assert read(unknown) == {"type": "ec", "oid": "1.2.840.10045.2.1", "public": "026162", "curve": "1.2.3"}


@pytest.mark.parametrize(
    "spki",
    [
        b"\x30\x00",
        tlv(SEQ, tlv(SEQ), bit_string(b"")),
        tlv(SEQ, tlv(SEQ, oid("1.2.840.113549.1.1.1")), bit_string(tlv(SEQ, integer(5)))),
        tlv(SEQ, tlv(SEQ, oid("1.2.840.113549.1.1.1")), bit_string(b"junk")),
    ],
)
def test_no_key(spki: bytes) -> None:
    with pytest.raises(DerError):
        read(spki)


def test_numbers_that_are_too_long_for_decimal() -> None:
    assert decimal(65_537) == "65537"
    assert int(decimal(2**40_000), 0) == 2**40_000


def test_a_negative_modulus_is_taken_as_it_was_meant() -> None:
    inner = tlv(SEQ, tlv(0x02, b"\xff" * 64), integer(3))
    key = read(tlv(SEQ, tlv(SEQ, oid("1.2.840.113549.1.1.1")), bit_string(inner)))
    assert key["bits"] == 512
