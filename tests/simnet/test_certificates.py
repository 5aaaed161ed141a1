"""The certificates are of the sorts they say."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from stages.simnet.certificates import Identity, break_der, make
from stages.simnet.sorts import NAME, PLAN, Sort

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
IDENTITIES, ROOT = make(NOW)


def of(sort: Sort) -> list[Identity]:
    return [identity for identity in IDENTITIES if identity.sort is sort]


def verify(identity: Identity) -> None:
    root = x509.load_der_x509_certificate(ROOT)
    leaf, *rest = (x509.load_der_x509_certificate(der) for der in identity.chain)
    builder = PolicyBuilder().store(Store([root])).time(NOW)
    builder.build_server_verifier(x509.DNSName(f"www.{NAME}")).verify(leaf, rest)


def test_the_plan_is_kept() -> None:
    assert [identity.sort for identity in IDENTITIES] == list(PLAN)
    hashes = [identity.hashes[0] for identity in IDENTITIES]
    assert len(set(hashes)) == len(PLAN)
    assert hashes[0] == sha256(IDENTITIES[0].chain[0]).hexdigest()


def test_validity() -> None:
    for identity in IDENTITIES:
        if identity.sort is Sort.UNPARSABLE:
            continue
        leaf = x509.load_der_x509_certificate(identity.chain[0])
        assert (leaf.not_valid_after_utc < NOW) == (identity.sort is Sort.EXPIRED)
        assert (leaf.not_valid_before_utc > NOW) == (identity.sort is Sort.NOT_YET_VALID)
        assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=365)


def test_self_signed_stand_alone() -> None:
    for identity in of(Sort.SELF_SIGNED):
        (der,) = identity.chain
        leaf = x509.load_der_x509_certificate(der)
        assert leaf.issuer == leaf.subject
        leaf.verify_directly_issued_by(leaf)


def test_chains_lead_to_the_root() -> None:
    root = x509.load_der_x509_certificate(ROOT)
    for identity in of(Sort.VALID):
        leaf, middle = (x509.load_der_x509_certificate(der) for der in identity.chain)
        leaf.verify_directly_issued_by(middle)
        middle.verify_directly_issued_by(root)


def test_names() -> None:
    for identity in IDENTITIES:
        if identity.sort is Sort.UNPARSABLE:
            continue
        leaf = x509.load_der_x509_certificate(identity.chain[0])
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        right = names.get_values_for_type(x509.DNSName) == [f"*.{NAME}"]
        assert right == (identity.sort is not Sort.WRONG_NAME)


@pytest.mark.parametrize("sort", [Sort.SELF_SIGNED, Sort.EXPIRED, Sort.NOT_YET_VALID, Sort.WRONG_NAME])
def test_a_verifier_refuses_them(sort: Sort) -> None:
    for identity in of(sort):
        with pytest.raises(VerificationError):
            verify(identity)


def test_nobody_can_read_the_unparsable() -> None:
    for identity in of(Sort.UNPARSABLE):
        (der,) = identity.chain
        assert der[0] == 0x30
        assert int.from_bytes(der[2:4], "big") == len(der) - 4
        with pytest.raises(ValueError, match="error parsing"):
            x509.load_der_x509_certificate(der)
        with pytest.raises(ssl.SSLError):
            ssl.create_default_context().load_verify_locations(cadata=der)
        assert identity.key == b""


def test_breaking_keeps_the_length() -> None:
    der = IDENTITIES[0].chain[0]
    assert len(break_der(der)) == len(der)


def test_a_short_plan() -> None:
    identities, _ = make(NOW, [Sort.VALID])
    assert [identity.sort for identity in identities] == [Sort.VALID]
    assert identities[0].pem.count(b"BEGIN CERTIFICATE") == 2
    assert b"PRIVATE KEY" in identities[0].pem
