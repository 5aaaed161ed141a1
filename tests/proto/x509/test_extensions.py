"""Extensions: what each says, and what happens when it says nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from stages.proto.der import DerError, Walker
from stages.proto.x509 import oids
from stages.proto.x509.extensions import READERS, read_scts
from stages.proto.x509.general import MAX_OTHERS
from tests.certificates.zoo import SEQ, bit_string, integer, name, oid, tlv


def read(number: str, value: bytes) -> Any:
    walker = Walker(value)
    return READERS[number][1](walker, walker.root())


def text(word: str) -> bytes:
    return tlv(0x0C, word.encode())


@pytest.mark.parametrize(
    ("number", "value", "said"),
    [
        (oids.KEY_USAGE, b"\x03\x02\x05\xa0", {"names": ["digital_signature", "key_encipherment"], "value": 5}),
        (oids.KEY_USAGE, b"\x03\x03\x07\x00\x80", {"names": ["decipher_only"], "value": 256}),
        (oids.BASIC_CONSTRAINTS, tlv(SEQ), {"is_ca": False}),
        (oids.BASIC_CONSTRAINTS, tlv(SEQ, b"\x01\x01\xff", integer(3)), {"is_ca": True, "max_path_len": 3}),
        (oids.BASIC_CONSTRAINTS, tlv(SEQ, b"\x01\x01\xff", integer(2**70)), {"is_ca": True}),
        (oids.SUBJECT_KEY_ID, b"\x04\x02ab", "6162"),
        (
            oids.AUTHORITY_KEY_ID,
            tlv(SEQ, tlv(0x80, b"ab"), tlv(0xA1, tlv(0xA4, name("x"))), tlv(0x82, b"\x07")),
            {"key_id": "6162", "issuer": {"directory_names": ["CN=x"]}, "serial": "7"},
        ),
        (oids.EXTENDED_KEY_USAGE, tlv(SEQ, oid("1.3.6.1.5.5.7.3.1"), oid("1.2.3")), ["server_auth", "1.2.3"]),
        (
            oids.AUTHORITY_INFO_ACCESS,
            tlv(SEQ, *(tlv(SEQ, oid(m), tlv(0x86, b"http://x/")) for m in (oids.OCSP, oids.CA_ISSUERS, "1.2.3"))),
            {
                "ocsp_urls": ["http://x/"],
                "issuer_urls": ["http://x/"],
                "others": [{"id": "1.2.3", "location": "http://x/"}],
            },
        ),
        (
            oids.CRL_DISTRIBUTION_POINTS,
            tlv(SEQ, tlv(SEQ, tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://crl/")))), tlv(SEQ, tlv(0x81, b"\0\1"))),
            ["http://crl/"],
        ),
        (
            oids.CERTIFICATE_POLICIES,
            tlv(
                SEQ,
                tlv(SEQ, oid("2.23.140.1.2.1")),
                tlv(
                    SEQ,
                    oid("1.2.3"),
                    tlv(
                        SEQ,
                        tlv(SEQ, oid(oids.CPS), tlv(0x16, b"http://cps/")),
                        tlv(SEQ, oid(oids.USER_NOTICE), tlv(SEQ, text("read me"))),
                    ),
                ),
            ),
            [{"id": "2.23.140.1.2.1"}, {"id": "1.2.3", "cps": ["http://cps/"], "user_notice": ["read me"]}],
        ),
        (
            oids.NAME_CONSTRAINTS,
            tlv(
                SEQ,
                tlv(0xA0, tlv(SEQ, tlv(0x82, b".example")), tlv(SEQ, tlv(0x87, bytes([10, 0, 0, 0, 255, 0, 0, 0])))),
                tlv(0xA1, tlv(SEQ, tlv(0x82, b"bad.example"))),
            ),
            {
                "permitted": {"dns_names": [".example"], "ip_addresses": ["10.0.0.0/8"]},
                "excluded": {"dns_names": ["bad.example"]},
            },
        ),
        (oids.CT_POISON, b"\x05\0", True),
        (oids.TLS_FEATURE, tlv(SEQ, integer(5)), [5]),
        (
            oids.TOR_SERVICE_DESCRIPTORS,
            tlv(SEQ, tlv(SEQ, text("https://x.onion"), tlv(SEQ, oid("2.16.840.1.101.3.4.2.1")), bit_string(b"h"))),
            [{"onion": "https://x.onion", "algorithm": "sha256", "hash": "68"}],
        ),
        (
            oids.CABF_ORGANIZATION_ID,
            tlv(SEQ, tlv(0x13, b"NTR"), tlv(0x13, b"DE"), tlv(0x80, b"BY"), text("HRB 1")),
            {"scheme": "NTR", "country": "DE", "state": "BY", "reference": "HRB 1"},
        ),
        (
            oids.QC_STATEMENTS,
            tlv(SEQ, tlv(SEQ, oid("0.4.0.1862.1.1")), tlv(SEQ, oid("1.2.3"), b"\x05\0")),
            [{"id": "0.4.0.1862.1.1"}, {"id": "1.2.3", "value": "0500"}],
        ),
    ],
)
def test_what_it_says(number: str, value: bytes, said: object) -> None:
    assert read(number, value) == said


@pytest.mark.parametrize("number", sorted(READERS.keys() - {oids.CT_POISON}))
@pytest.mark.parametrize("value", [b"\x05\0", b"\x30\x02\x05\0", b"\x01\x01\xff"])
def test_nonsense_is_a_der_error_or_nothing(number: str, value: bytes) -> None:
    try:
        said = read(number, value)
    except DerError:
        return
    assert said in ({}, [], {"is_ca": False}, "", {"ocsp_urls": [], "issuer_urls": []})


def test_lists_are_bounded() -> None:
    assert len(read(oids.EXTENDED_KEY_USAGE, tlv(SEQ, *[oid("1.2.3")] * 999))) == MAX_OTHERS
    assert len(read(oids.QC_STATEMENTS, tlv(SEQ, *[tlv(SEQ, oid("1.2.3"))] * 999))) == MAX_OTHERS


@pytest.mark.parametrize("raw", [b"", b"\0", b"\0\5ab", b"\0\4\0\2ab", b"\0\4\0\5ab"])
def test_no_timestamps(raw: bytes) -> None:
    with pytest.raises(DerError):
        read_scts(raw)


@pytest.mark.parametrize("raw", [bytes([10, 0, 0, 0, 255, 0, 255, 0]), b"\1\2\3"])
def test_no_network(raw: bytes) -> None:
    with pytest.raises(DerError, match="no network"):
        read(oids.NAME_CONSTRAINTS, tlv(SEQ, tlv(0xA0, tlv(SEQ, tlv(0x87, raw)))))
