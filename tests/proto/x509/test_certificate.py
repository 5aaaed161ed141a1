"""Certificates: the library's reading and ours agree; the zoo is read as far as it goes; any bytes give a document."""

from __future__ import annotations

import os
import random
import warnings
from hashlib import sha256

import orjson
import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stages.proto.x509.certificate import KEYS, MAX_ERROR_CHARS, MAX_ERRORS, document, level_of, names_of, read
from tests.certificates.zoo import (
    bombs,
    build,
    extension,
    intermediate,
    leaf,
    oid,
    p256,
    root,
    rsa,
    san,
    tlv,
    zoo,
)

FUZZ = 1_000_000 if os.environ.get("LONGLINE_FUZZ") else 5_000


def library(der: bytes) -> x509.Certificate | None:
    """What the library reads, or None where it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            c = x509.load_der_x509_certificate(der)
            _ = (c.not_valid_before_utc, c.subject, c.issuer, c.extensions)
            return c
        except (ValueError, x509.InvalidVersion, x509.DuplicateExtension):
            return None


#: Whose keys the library refuses.
STRANGE_KEYS = {
    "unknown key",
    "exponent 1",
    "even exponent",
    "exponent of 2,000 bits",
    "exponent of 40,000 bits",
    "RSA of 512 bits",
    "RSA of 16,384 bits",
}

#: Of the zoo, what the library reads and we read whole: held against each other.
BOTH = [name for name, der in zoo().items() if library(der) is not None and not read(der).errors]


def test_the_library_reads_most_of_the_zoo() -> None:
    assert len(BOTH) > 25


@pytest.mark.parametrize("name", BOTH)
def test_we_read_what_the_library_reads(name: str) -> None:
    der = zoo()[name]
    c, theirs = document(read(der)), library(der)
    assert theirs is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        serial = theirs.serial_number
    assert c["serial"].startswith("0x") if serial.bit_length() > 1_024 else c["serial"] == str(serial)
    assert c["version"] == theirs.version.value + 1
    assert c["not_before"] == round(theirs.not_valid_before_utc.timestamp()) * 1_000_000
    assert c["not_after"] == round(theirs.not_valid_after_utc.timestamp()) * 1_000_000
    assert c["subject"] == theirs.subject.rfc4514_string()
    assert c["issuer"] == theirs.issuer.rfc4514_string()
    assert c["signature_oid"] == theirs.signature_algorithm_oid.dotted_string
    assert c["tbs_sha256"] == sha256(theirs.tbs_certificate_bytes).hexdigest()
    assert read(der).signature == theirs.signature
    try:
        key = theirs.public_key()
    except (ValueError, UnsupportedAlgorithm):
        assert name in STRANGE_KEYS
    else:
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert c["spki_sha256"] == sha256(spki).hexdigest()
    names = [e.value for e in theirs.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
    assert read(der).dns_names == (names[0].get_values_for_type(x509.DNSName) if names else [])


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("good", "success", ""),
        ("bad time", "fail", "dates: b'261301000000Z' is no time"),
        ("no time", "fail", "is no time"),
        ("year zero", "fail", "dates: "),
        ("no seconds", "success", "a time without seconds"),
        ("ends before it begins", "success", "ends before it begins"),
        ("negative serial", "success", "a negative serial number"),
        ("serial of zero", "success", "a serial number of zero"),
        ("serial of 40 bytes", "success", "a serial number of 40 bytes"),
        ("no serial", "fail", "serial: an integer without a byte"),
        ("no common name", "success", ""),
        ("trailing bytes", "success", "trailing bytes: 4"),
        ("cut off", "fail", "cut off"),
        ("broken extension", "fail", "subject_alt_name: "),
        ("extension twice", "success", "extension subject_alt_name twice"),
        ("version 1 with extensions", "success", "not version 3"),
        ("version 9", "success", "a version that is none of 1, 2, 3"),
        ("key that is none", "fail", "key: "),
        ("no certificate", "fail", "certificate: "),
        ("nothing", "fail", "ends inside a header"),
    ],
)
def test_the_zoo_says_what_is_odd(name: str, status: str, said: str) -> None:
    c = document(read(zoo()[name]))
    assert c["parse_status"] == status
    assert said in " ".join([c.get("error", ""), *c.get("notes", ())])


def test_what_can_be_read_of_the_broken_ones_is_read() -> None:
    for name in ("bad time", "no serial", "broken extension", "key that is none", "cut off"):
        c = document(read(zoo()[name]))
        assert c["subject"].endswith("zoo.example"), name
        assert c["issuer"] == "CN=Zoo Intermediate 10", name
    cut = document(read(zoo()["cut off in its key"]))
    assert (cut["subject"], cut["not_after"]) == ("CN=cut2.zoo.example", 1_798_761_600_000_000)
    assert "key" not in cut


def test_serials_are_exact() -> None:
    assert read(zoo()["negative serial"]).serial == "-128"
    assert read(zoo()["serial of 40 bytes"]).serial == str(int.from_bytes(b"\x7f" * 40, "big"))
    assert read(zoo()["serial of 4,000 bytes"]).serial == "0x" + "7f" * 128 + "..."


def test_ten_thousand_names() -> None:
    c = document(read(zoo()["10,000 names"]))
    assert len(c["names"]) == 10_000  # the common name is not one of a host: it is in none of them
    assert "h9999.many.zoo.example" in c["names"]
    more = read(leaf("x.example", sans=tuple(f"a{i}.example" for i in range(10_050))).der)
    assert more.extensions["subject_alt_name"]["left_off"] == 50
    assert len(names_of(more)) == 10_000


@pytest.mark.parametrize("name", [*zoo(), *bombs()])
def test_a_document_can_be_stored(name: str) -> None:
    der = {**zoo(), **bombs()}[name]
    c = document(read(der))
    assert c.keys() <= KEYS
    assert (c["parse_status"] == "fail") is ("error" in c)
    assert len(c.get("errors", ())) <= MAX_ERRORS
    assert all(len(error) <= MAX_ERROR_CHARS + 20 for error in c.get("errors", ()))
    assert len(orjson.dumps(c)) < 3 * 2**20  # and no integer beyond 64 bits, and no key that is no text


def test_what_is_too_long_for_a_name_is_not_searched_for() -> None:
    c = read(leaf("short.example", sans=("a" * 255, "b" * 256, "c" * 30_000)).der)
    assert names_of(c) == ["a" * 255, "short.example"]
    assert c.dns_names[2] == "c" * 30_000


def test_a_precertificate_and_its_certificate_have_one_hash_without_ct() -> None:
    common = [san("ct.example")]
    poison = extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\0", True)
    sct = b"\0" + bytes(range(32)) + (1_700_000_000_123).to_bytes(8, "big") + b"\0\0\x04\x03\0\x02ab"
    scts = extension(
        "1.3.6.1.4.1.11129.2.4.2", tlv(0x04, len(sct + b"xx").to_bytes(2, "big"), len(sct).to_bytes(2, "big"), sct)
    )
    pre = document(read(leaf("ct.example", extensions=(*common, poison)).der))
    final = document(read(leaf("ct.example", extensions=(*common, scts)).der))
    plain = document(read(leaf("ct.example", extensions=tuple(common)).der))
    assert pre["tbs_no_ct_sha256"] == final["tbs_no_ct_sha256"] == plain["tbs_sha256"] == plain["tbs_no_ct_sha256"]
    assert pre["tbs_sha256"] != final["tbs_sha256"]
    assert pre["precert"] is True
    assert final["extensions"]["signed_certificate_timestamps"] == [
        {
            "version": 1,
            "log_id": bytes(range(32)).hex(),
            "timestamp": 1_700_000_000_123_000,
            "hash": 4,
            "algorithm": 3,
            "signature": b"ab".hex(),
        }
    ]
    bare = document(read(leaf("ct.example", extensions=(poison,)).der))
    assert bare["tbs_no_ct_sha256"] == document(read(leaf("ct.example", extensions=()).der))["tbs_sha256"]


def test_levels() -> None:
    def policies(number: str) -> bytes:
        return extension("2.5.29.32", tlv(0x30, tlv(0x30, oid(number))))

    for number, level in {"2.23.140.1.2.1": "DV", "2.23.140.1.1": "EV", "1.2.3": "unknown"}.items():
        assert level_of(read(leaf("l.example", extensions=(policies(number),)).der)) == level
    assert level_of(read(root().der)) == "unknown"


def test_authorities_say_so() -> None:
    assert (read(root().der).ca, read(leaf().der).ca, read(zoo()["version 1"]).ca) == (True, False, None)
    assert read(intermediate().der).extensions["basic_constraints"] == {"is_ca": True, "max_path_len": 0}
    assert document(read(root().der))["critical"] == ["basic_constraints", "key_usage"]


def test_keys() -> None:
    key = document(read(build("k", rsa(512)).der))["key"]
    assert (key["type"], key["bits"], key["exponent"]) == ("rsa", 512, "65537")
    assert document(read(build("k", p256(1)).der))["key"]["curve"] == "secp256r1"
    assert document(read(zoo()["unknown key"]))["key"] == {
        "type": "unknown",
        "oid": "2.16.840.1.101.3.4.3.17",
        "public": b"key".hex(),
    }


@pytest.mark.timeout(3_600 if FUZZ > 5_000 else 180)
def test_any_bytes_give_a_document() -> None:
    rng = random.Random(11)
    seeds = [der for der in zoo().values() if 0 < len(der) < 2_000]
    whole = 0
    for _ in range(FUZZ):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(data))
            if rng.random() < 0.7:
                data[place] = rng.randrange(256)
            else:
                data[place:place] = rng.randbytes(rng.randrange(1, 5))
        c = document(read(bytes(data)))
        orjson.dumps(c)
        whole += "subject" in c
    assert whole > FUZZ // 3
