from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from stages.fleet.selfsigned import DAYS, MAX_NAMES, made

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)


def test_for_names_and_addresses() -> None:
    pem, key = made(["scan.example", "192.0.2.1", "2001:db8::1", "192.0.2.1"], NOW)
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["scan.example", "192.0.2.1", "2001:db8::1"]
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc <= NOW + dt.timedelta(days=DAYS)
    assert serialization.load_pem_private_key(key, None).public_key() == certificate.public_key()


def test_a_handshake_carries_so_many_names() -> None:
    pem, _ = made([f"192.0.2.{n}" for n in range(256)], NOW)
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(names)) == MAX_NAMES
