"""GeneralName of every kind, and the bounds."""

from __future__ import annotations

import pytest

from stages.proto.der import DerError, Walker
from stages.proto.x509.general import MAX_NAMES, MAX_OTHERS, read_names
from tests.certificates.zoo import SEQ, name, oid, tlv


def read(*names: bytes) -> dict[str, object]:
    walker = Walker(tlv(SEQ, *names))
    return read_names(walker, walker.children(walker.root()))


def test_every_kind() -> None:
    assert read(
        tlv(0x82, b"a.example"),
        tlv(0x82, b"b\xff.example"),
        tlv(0x81, b"who@a.example"),
        tlv(0x86, b"http://a.example/"),
        tlv(0x87, bytes([10, 0, 0, 1])),
        tlv(0x87, bytes(15) + b"\1"),
        tlv(0x87, b"\1\2\3"),
        tlv(0xA4, name("cn", "org")),
        tlv(0x88, oid("1.2.3")[2:]),
        tlv(0xA0, oid("1.2.3.4"), tlv(0xA0, b"\x0c\x01x")),
        tlv(0xA5, b"\x05\0"),
    ) == {
        "dns_names": ["a.example", "bÿ.example"],
        "email_addresses": ["who@a.example"],
        "uniform_resource_identifiers": ["http://a.example/"],
        "ip_addresses": ["10.0.0.1", "::1", "010203"],
        "directory_names": ["CN=cn,O=org"],
        "registered_ids": ["1.2.3"],
        "other_names": [{"id": "1.2.3.4", "value": "0c0178"}],
        "edi_party_names": [{"value": "0500"}],
    }


def test_the_bounds() -> None:
    names = read(*[tlv(0x82, b"a")] * (MAX_NAMES + 3), *[tlv(0x81, b"a")] * (MAX_OTHERS + 2))
    assert len(names["dns_names"]) == MAX_NAMES  # type: ignore[arg-type]
    assert len(names["email_addresses"]) == MAX_OTHERS  # type: ignore[arg-type]
    assert names["left_off"] == 5


def test_no_name() -> None:
    with pytest.raises(DerError, match="no general name"):
        read(b"\x05\0")
