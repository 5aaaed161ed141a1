"""Signatures of every kind: by the right key, by another, over other bytes, and what cannot be known."""

from __future__ import annotations

import pytest

from stages.proto.der import wrap
from stages.proto.x509.certificate import read
from stages.proto.x509.signatures import pss_hash, signed_by
from stages.proto.x509.verdict import Is
from tests.certificates.zoo import Key, build, dsa_key, ed, intermediate, leaf, p256, pss, rsa, zoo

KEYS = {
    "RSA 512": lambda: rsa(512),
    "RSA 2048": lambda: rsa(2_048),
    "RSA 16384": lambda: rsa(16_384),
    "RSA e=3": lambda: rsa(2_048, exponent=3),
    "RSA MD5": lambda: rsa(1_024, "md5"),
    "RSA SHA-1": lambda: rsa(2_048, "sha1"),
    "RSA-PSS": pss,
    "ECDSA": p256,
    "ECDSA SHA-1": lambda: p256(3, "sha1"),
    "Ed25519": ed,
    "DSA": dsa_key,
}


@pytest.mark.parametrize("kind", KEYS)
def test_by_its_own_key_and_by_no_other(kind: str) -> None:
    key: Key = KEYS[kind]()
    c = read(build("self", key).der)
    assert signed_by(c, c.spki, c.key).holds is Is.YES
    other = read(build("other", p256(77) if kind != "ECDSA" else p256(78)).der)
    assert signed_by(c, other.spki, other.key).holds is Is.NO
    altered = read(build("self", key, signature=key.sign(b"other bytes")).der)
    assert signed_by(altered, c.spki, c.key).holds is Is.NO


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("unknown signature", "algorithm 1.2.3.4.5.6 is not known"),
        ("cut off", "no signature"),
        ("nothing", "no signature"),
    ],
)
def test_what_cannot_be_known(name: str, why: str) -> None:
    c = read(zoo()[name])
    issuer = read(intermediate().der)
    verdict = signed_by(c, issuer.spki, issuer.key)
    assert verdict.holds is Is.UNKNOWN
    assert why in verdict.why


def test_keys_that_say_nothing() -> None:
    c = read(leaf().der)
    strange = read(zoo()["unknown key"])
    assert signed_by(c, strange.spki, strange.key).holds is Is.UNKNOWN
    assert signed_by(c, b"", None).holds is Is.UNKNOWN
    broken = read(zoo()["key that is none"])
    assert signed_by(c, broken.spki, broken.key).holds is Is.UNKNOWN
    off_the_curve = {"type": "ec", "oid": "x"}
    assert signed_by(c, wrap(0x30, b""), off_the_curve).holds is Is.UNKNOWN


def test_a_power_that_is_too_large_is_not_calculated() -> None:
    c = read(build("r", rsa(2_048)).der)
    huge = read(zoo()["exponent of 40,000 bits"])
    verdict = signed_by(c, huge.spki, huge.key)
    assert verdict.holds is Is.UNKNOWN
    assert "exponent of 40001" in verdict.why
    assert signed_by(c, b"", {"type": "rsa", "modulus": "0", "exponent": "3"}).holds is Is.UNKNOWN
    assert signed_by(c, b"", {"type": "rsa", "modulus": "ff", "exponent": "3"}).holds is Is.NO


def test_the_hash_of_pss() -> None:
    assert pss_hash(read(build("p", pss()).der).signature_parameters) == "sha256"
    assert pss_hash(b"") == "sha1"
    assert pss_hash(b"\x30\x03\xa0\x01\x30") is None
