"""Names: as the library writes them, whatever stands in them."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.der import DerError, Walker
from stages.proto.x509.dn import MAX_ATTRIBUTES, Name, read_name
from tests.certificates.zoo import SEQ, SET, name, oid, tlv


def read(der: bytes) -> Name:
    walker = Walker(der)
    return read_name(walker, walker.root())


KINDS = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.EMAIL_ADDRESS, NameOID.USER_ID, NameOID.TITLE]
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(st.lists(st.lists(st.tuples(st.sampled_from(KINDS), TEXT), min_size=1, max_size=2), max_size=4))
def test_as_the_library_writes_it(rdns: list[list[tuple[x509.ObjectIdentifier, str]]]) -> None:
    attributes = [[x509.NameAttribute(kind, text, _validate=False) for kind, text in rdn] for rdn in rdns]
    unique = [list({(a.oid, a.value): a for a in rdn}.values()) for rdn in attributes]
    theirs = x509.Name([x509.RelativeDistinguishedName(rdn) for rdn in unique])
    ours = read(theirs.public_bytes())
    assert sorted(ours.rfc4514()) == sorted(theirs.rfc4514_string())  # DER sorts within an RDN, the library does not
    if all(len(rdn) == 1 for rdn in unique):
        assert ours.rfc4514() == theirs.rfc4514_string()


def test_parts() -> None:
    der = tlv(
        SEQ, tlv(SET, tlv(SEQ, oid("2.5.4.3"), tlv(0x0C, b"a"))), tlv(SET, tlv(SEQ, oid("1.2.3"), b"\x02\x01\x07"))
    )
    read_ = read(der)
    assert read_.parts() == {"common_name": ["a"], "other": [{"oid": "1.2.3", "value": "#020107"}]}
    assert read_.values("2.5.4.3") == ["a"]
    assert read_.rfc4514() == "1.2.3=\\#020107,CN=a"


def test_the_bound() -> None:
    der = tlv(SEQ, *[name("x")[2:]] * (MAX_ATTRIBUTES + 7))
    assert (len(read(der).attributes), read(der).left_off) == (MAX_ATTRIBUTES, 7)


@pytest.mark.parametrize("der", [b"\x31\x00", tlv(SEQ, b"\x30\x00"), tlv(SEQ, tlv(SET, b"\x05\x00"))])
def test_no_name(der: bytes) -> None:
    with pytest.raises(DerError):
        read(der)
