"""The tables agree with the library's, and with each other."""

from __future__ import annotations

from cryptography.hazmat._oid import SignatureAlgorithmOID
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stages.proto.x509 import oids
from stages.proto.x509.extensions import READERS


def numbers(table: type) -> set[str]:
    return {value.dotted_string for key, value in vars(table).items() if not key.startswith("_")}


def test_they_are_the_numbers_that_the_library_knows() -> None:
    assert numbers(NameOID) >= set(oids.ATTRIBUTES) - {"1.3.6.1.4.1.311.60.2.1.1"}
    assert len(numbers(SignatureAlgorithmOID) & set(oids.SIGNATURES)) >= 15
    assert len(numbers(ExtendedKeyUsageOID) & set(oids.PURPOSES)) >= 6


def test_no_two_things_have_one_key() -> None:
    for table in (oids.ATTRIBUTES, oids.PURPOSES):
        values = [value if isinstance(value, str) else value[0] for value in table.values()]
        assert len(set(values)) == len(values)
    assert len({key for key, _ in READERS.values()}) == len(READERS)


def test_hashes_of_signatures_are_known_words() -> None:
    assert {digest for _, digest, _ in oids.SIGNATURES.values()} <= {
        "", "md2", "md4", "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "shake256",
    }  # fmt: skip
