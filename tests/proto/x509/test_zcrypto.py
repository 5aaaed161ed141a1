"""zcrypto's shape: its keys, its spellings, and that everything can be printed."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256

import orjson
import pytest

from stages.proto.x509.zcrypto import certificate_json
from tests.certificates.zoo import bombs, build, leaf, purposes, root, rsa, usage, zoo


def test_a_leaf() -> None:
    der = leaf("www.zoo.example", serial=b"\x01\x00").der
    said = certificate_json(der)
    assert b64decode(said["raw"]) == der
    parsed = said["parsed"]
    assert parsed["version"] == 3
    assert parsed["serial_number"] == "256"
    assert parsed["signature_algorithm"] == {"name": "ECDSA-SHA256", "oid": "1.2.840.10045.4.3.2"}
    assert parsed["issuer"] == {"common_name": ["Zoo Intermediate 10"]}
    assert parsed["issuer_dn"] == "CN=Zoo Intermediate 10"
    assert parsed["validity"] == {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z", "length": 31_536_000}
    assert parsed["subject_key_info"]["key_algorithm"] == {"name": "ECDSA"}
    assert parsed["subject_key_info"]["ecdsa_public_key"]["curve"] == "P-256"
    assert parsed["extensions"]["subject_alt_name"] == {"dns_names": ["www.zoo.example"]}
    assert parsed["extensions"]["basic_constraints"] == {"is_ca": False}
    assert parsed["signature"]["self_signed"] is False
    assert parsed["fingerprint_sha256"] == sha256(der).hexdigest()
    assert parsed["names"] == ["www.zoo.example"]
    assert parsed["validation_level"] == "unknown"
    assert parsed["redacted"] is False


def test_an_authority() -> None:
    parsed = certificate_json(root().der)["parsed"]
    assert parsed["extensions"]["key_usage"] == {"certificate_sign": True, "crl_sign": True, "value": 96}
    assert "self_signed" not in parsed["signature"]  # not known without verifying


def test_spellings() -> None:
    der = build("x", rsa(), extensions=(usage(0x80), purposes("1.3.6.1.5.5.7.3.1", "1.2.3"))).der
    parsed = certificate_json(der)["parsed"]
    assert parsed["extensions"]["extended_key_usage"] == {"server_auth": True, "unknown": ["1.2.3"]}
    key = parsed["subject_key_info"]["rsa_public_key"]
    assert (key["exponent"], key["length"], len(b64decode(key["modulus"]))) == (65_537, 2_048, 256)
    assert parsed["signature_algorithm"]["name"] == "SHA256-RSA"


@pytest.mark.parametrize("name", [*zoo(), *bombs()])
def test_everything_can_be_printed(name: str) -> None:
    der = {**zoo(), **bombs()}[name]
    said = certificate_json(der)
    assert orjson.dumps(said)
    assert ("parse_error" in said) is (name in BROKEN) or name in bombs()


BROKEN = {
    "bad time", "no time", "year zero", "no serial", "key that is none", "cut off", "cut off in its key",
    "broken extension", "no certificate", "nothing",
}  # fmt: skip


def test_names_of_the_certificate() -> None:
    """As they stand there; what is no host is none of them, and no name is no list."""
    der = leaf("Not.A.Host/x", sans=("WWW.Zoo.example", "*.zoo.example", "localhost", "a.*.zoo.example")).der
    assert certificate_json(der)["parsed"]["names"] == ["*.zoo.example", "WWW.Zoo.example", "localhost"]
    hidden = certificate_json(leaf("?.zoo.example").der)["parsed"]
    assert (hidden["names"], hidden["redacted"]) == (["?.zoo.example"], True)
    assert "names" not in certificate_json(leaf(None).der)["parsed"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a, b", "a\\, b"), (" a ", "\\ a\\ "), ("#1", "\\#1"), ('<"\\">', '\\<\\"\\\\\\"\\>'), (" ", "\\ "), ("", "")],
)
def test_a_line_of_a_name_is_escaped(value: str, shown: str) -> None:
    assert certificate_json(leaf(value, sans=("x.test",)).der)["parsed"]["subject_dn"] == f"CN={shown}"
