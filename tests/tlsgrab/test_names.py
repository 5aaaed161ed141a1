"""Names in certificates as further targets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stages.core.records import Hit, parse
from stages.tlsgrab.attempts import Attempt
from stages.tlsgrab.names import MAX_NAMES, follow, names_of
from tests.servers.tls_bytes import UNREADABLE

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(common: str, *alternatives: x509.GeneralName) -> bytes:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    builder = builder.serial_number(5).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def dns(*names: str) -> list[x509.DNSName]:
    return [x509.DNSName(name) for name in names]


def test_host_names_and_nothing_else() -> None:
    der = certificate(
        "Common.test", *dns("A.test", "*.b.test", "c.test.", "a b", "1.2.3.4", "xn--bcher-kva.example"),
        x509.IPAddress(ip_address("192.0.2.1")), x509.RFC822Name("me@d.test"),
    )  # fmt: skip
    assert list(names_of(der)) == ["a.test", "c.test", "xn--bcher-kva.example", "common.test"]
    assert list(names_of(certificate("Some Organisation"))) == []


@pytest.mark.parametrize("der", [UNREADABLE, b"", b"\x30\0"])
def test_what_cannot_be_read_names_nobody(der: bytes) -> None:
    assert list(names_of(der)) == []


def test_no_more_names_than_the_bound() -> None:
    der = certificate("last.test", *dns(*(f"n{number}.test" for number in range(MAX_NAMES + 5))))
    assert len(list(names_of(der))) == MAX_NAMES


def test_the_budget_is_of_all_that_follows_from_a_line() -> None:
    hit = Hit(scan="s", ts=1, ip="192.0.2.1", port=443, name="a.test", vantage="v")
    first = follow(hit, certificate("b.test", *dns("a.test", "c.test", "c.test")), 3)
    assert [target.name for target, _ in first] == ["c.test", "b.test"]
    target, line = first[0]
    record = parse(line)
    assert isinstance(record, Hit)
    assert (record.name, record.ip, record.vantage, record.id) == ("c.test", "192.0.2.1", "v", target.id)
    assert target.id != hit.id
    assert isinstance(target, Attempt)
    second = follow(target, certificate("d.test", *dns("a.test", "b.test", "e.test")), 3)
    assert [each.name for each, _ in second] == ["e.test"]
    assert follow(second[0][0], certificate("f.test"), 3) == []


def test_the_name_that_was_asked_for_anyway_is_not_asked_for_again() -> None:
    hit = Hit(scan="s", ts=1, ip="192.0.2.1", port=443)
    assert [target.name for target, _ in follow(hit, certificate("a.test", *dns("b.test")), 9, "a.test")] == ["b.test"]
