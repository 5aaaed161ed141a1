"""Reading certificates: every field, every way to fail, and the memory of what is stored."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from stages.sink.certificate import Known, parse
from tests.sink.material import certificate


def test_fields() -> None:
    der = certificate("Leaf.Example", serial=2**158 + 1, ca=True)
    fields = parse(der)
    known = {
        "size": len(der),
        "version": 3,
        "serial": str(2**158 + 1),
        "signature_algorithm": "ecdsa-with-SHA256",
        "issuer": "CN=Leaf.Example",
        "subject": "CN=Leaf.Example",
        "not_before": 1_767_225_600_000_000,
        "not_after": 1_798_675_200_000_000,
        "names": ["b.test", "leaf.example"],
        "ca": True,
        "parse_status": "success",
    }
    assert {key: fields[key] for key in known} == known
    assert (fields["key"]["type"], fields["key"]["bits"], fields["key"]["curve"]) == ("ec", 256, "secp256r1")


def test_a_common_name_that_is_no_name() -> None:
    assert parse(certificate("Some Root Authority"))["names"] == ["b.test"]


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x03abc", b"\0" * 99, b"-----BEGIN CERTIFICATE-----"])
def test_no_certificate(der: bytes) -> None:
    fields = parse(der)
    assert fields["parse_status"] == "fail"
    assert fields["error"]
    assert (fields["size"], fields["names"]) == (len(der), [])


@given(st.integers(0, 400), st.integers(0, 255))
def test_any_byte_may_be_wrong(place: int, value: int) -> None:
    der = bytearray(certificate())
    der[place % len(der)] = value
    fields = parse(bytes(der))
    assert fields["parse_status"] in ("success", "fail")
    assert (fields["parse_status"] == "fail") is ("error" in fields)


def test_a_version_that_there_is_none_of_is_read_as_it_stands() -> None:
    """Libraries refuse it; what else the certificate says is worth having."""
    version = bytes.fromhex("a003020102")  # RFC 5280, 4.1: [0] EXPLICIT INTEGER, 2 for v3
    der = certificate()
    assert version in der
    fields = parse(der.replace(version, bytes.fromhex("a003020107"), 1))
    assert (fields["version"], fields["parse_status"]) == (8, "success")
    assert fields["subject"] == parse(der)["subject"]


@given(st.integers(1, 400))
def test_any_length_may_be_missing(cut: int) -> None:
    assert parse(certificate()[:-cut])["parse_status"] == "fail"


def test_what_can_be_read_is_read() -> None:
    der = certificate().replace(bytes.fromhex("0603551d11"), bytes.fromhex("0603551d13"))  # a SAN that says otherwise
    fields = parse(der)
    assert fields["parse_status"] == "fail"
    assert fields["serial"] == "7"
    assert fields["names"] == ["www.example.com"]


def test_the_library_is_imported_late() -> None:
    code = "import stages.sink.certificate, stages.sink.stage, sys; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_certificate_is_read_once() -> None:
    read: list[bytes] = []

    def reader(der: bytes) -> dict[str, object]:
        read.append(der)
        return {"names": []}

    known = Known(2, reader)
    for _ in range(3):
        if known.fields("a", b"A") is not None:
            known.stored(["a"])
    assert read == [b"A"]
    known.stored(["b"])
    assert known.fields("a", b"A") is None  # seen again: `b` is the older one now
    known.stored(["c"])
    assert len(known) == 2
    assert known.fields("b", b"B") is not None
    known.forget(["a", "unknown"])
    assert known.fields("a", b"A") is not None
    assert read == [b"A", b"B", b"A"]


def test_the_key_hash_is_of_the_key() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = certificate()
    key = x509.load_der_x509_certificate(der).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert parse(der)["spki_sha256"] == sha256(spki).hexdigest()
