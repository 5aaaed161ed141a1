"""Paths: found, not to be found, not to be known; and that no corpus makes the search long."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stages.derive.paths import MAX_VERIFICATIONS, Node, permitted, signed, trust, unfit
from stages.derive.roots import RootStore
from stages.proto.x509.certificate import read
from stages.proto.x509.verdict import Is, Verdict
from tests.certificates.zoo import (
    NOW,
    ROOTS_VALID,
    Cert,
    basic,
    build,
    cross,
    extension,
    intermediate,
    leaf,
    name,
    p256,
    purposes,
    root,
    san,
    tlv,
    usage,
    utc,
    zoo,
)

AUTHORITY = (basic(True), usage(0x06))


def store(*certs: Cert) -> RootStore:
    return RootStore.of("zoo", [cert.der for cert in certs])


def look(cert: Cert | bytes, roots: RootStore, *corpus: Cert, at: int = NOW) -> tuple[Is, str, int]:
    """(untrusted, why, length of the path)."""
    pool = store(*corpus)
    node = Node.of(read(cert if isinstance(cert, bytes) else cert.der))
    found = trust(node, roots.issuers, pool.issuers, at)
    return found.verdict.holds, found.verdict.why, len(found.path)


def test_a_path() -> None:
    holds, why, length = look(leaf(), store(root()), intermediate())
    assert (holds, length) == (Is.NO, 3)
    assert why == "a path of 3 to CN=Zoo Root 1"


def test_a_root_and_an_intermediate_that_is_one() -> None:
    assert look(root(), store(root()))[::2] == (Is.NO, 1)
    assert look(leaf(), store(intermediate()))[::2] == (Is.NO, 2)


def test_a_missing_intermediate_is_unknown() -> None:
    assert look(leaf(), store(root())) == (Is.UNKNOWN, "its issuer is not at hand: CN=Zoo Intermediate 10", 0)


def test_another_of_the_same_name_is_unknown() -> None:
    impostor = build("Zoo Intermediate 10", p256(66), root(), extensions=AUTHORITY, validity=ROOTS_VALID)
    holds, why, _ = look(leaf(), store(root()), impostor)
    assert holds is Is.UNKNOWN
    assert why == "none of the 1 certificates of its issuer's name signed it: CN=Zoo Intermediate 10"
    assert look(leaf(), store(root()), impostor, intermediate())[0] is Is.NO


def test_another_root_is_untrusted() -> None:
    holds, why, _ = look(leaf(), store(root(2)), intermediate(), root())
    assert (holds, why) == (Is.YES, "leads to CN=Zoo Root 1, which is not in the root store")
    assert look(zoo()["self-signed"], store(root()))[:2] == (Is.YES, "self-signed and not in the root store")


def test_cross_signed() -> None:
    both = cross()
    for roots in (store(root(1)), store(root(2)), store(root(1), root(2))):
        assert look(both["leaf"], roots, both["old"], both["new"])[::2] == (Is.NO, 3)
    assert look(both["leaf"], store(root(2)), both["old"])[0] is Is.UNKNOWN
    assert look(both["leaf"], store(root(2)), both["old"], root(1))[0] is Is.YES


def under(authority: Cert, **more: object) -> Cert:
    return leaf("under.zoo.example", authority, **more)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"validity": (utc("200101000000Z"), utc("210101000000Z"))}, "expired"),
        ({"validity": (utc("300101000000Z"), utc("310101000000Z"))}, "not yet valid"),
        ({"extensions": (basic(False),)}, "no certificate authority"),
        ({"extensions": ()}, "no certificate authority"),
        ({"extensions": (basic(True), usage(0x80))}, "key usage is not to sign"),
        ({"extensions": (*AUTHORITY, purposes("1.3.6.1.5.5.7.3.4"))}, "not for servers"),
    ],
)
def test_an_issuer_that_is_unfit(fields: dict[str, object], why: str) -> None:
    authority = build("Unfit", p256(50), root(), **{"validity": ROOTS_VALID, "extensions": AUTHORITY, **fields})  # type: ignore[arg-type]
    holds, said, _ = look(under(authority), store(root()), authority)
    assert holds is Is.YES
    assert why in said


def test_the_length_of_a_path() -> None:
    second = build("Second", p256(51), intermediate(), validity=ROOTS_VALID, extensions=AUTHORITY)
    holds, why, _ = look(under(second), store(root()), intermediate(), second)
    assert holds is Is.YES
    assert "path length is at most 0, and 1 are below it" in why


def test_what_is_not_understood_is_unknown() -> None:
    strange = (*AUTHORITY, extension("1.2.3.4", b"\x05\0", True))
    authority = build("Strange", p256(52), root(), validity=ROOTS_VALID, extensions=strange)
    assert look(under(authority), store(root()), authority)[0] is Is.UNKNOWN
    assert look(zoo()["critical and unknown"], store(root()), intermediate())[0] is Is.UNKNOWN
    assert look(zoo()["unknown signature"], store(root()), intermediate())[0] is Is.UNKNOWN
    assert unfit(read(zoo()["no time"]), 0, NOW) == Verdict(Is.UNKNOWN, "its dates could not be read")


def test_leaves_that_are_none() -> None:
    assert look(zoo()["precertificate"], store(root()), intermediate())[:2] == (Is.YES, "a precertificate")
    assert look(zoo()["for mail"], store(root()), intermediate())[0] is Is.YES
    assert look(zoo()["nothing"], store(root()))[:2] == (Is.UNKNOWN, "could not be read")


def tree(*parts: bytes) -> bytes:
    return tlv(0x30, *(tlv(0x30, part) for part in parts))[2:]


def constrained(permitted_: bytes = b"", excluded: bytes = b"") -> Cert:
    sides = [tlv(0xA0, permitted_)] * bool(permitted_) + [tlv(0xA1, excluded)] * bool(excluded)
    limits = extension("2.5.29.30", tlv(0x30, *sides), True)
    return build("Limited", p256(53), root(), validity=ROOTS_VALID, extensions=(*AUTHORITY, limits))


DNS = tlv(0x82, b"zoo.example")
NET = tlv(0x87, bytes([10, 0, 0, 0, 255, 0, 0, 0]))
MAIL = tlv(0x81, b"zoo.example")


@pytest.mark.parametrize(
    ("authority", "alternative", "holds"),
    [
        (constrained(tlv(0x30, DNS)), san("www.zoo.example"), Is.NO),
        (constrained(tlv(0x30, DNS)), san("zoo.example"), Is.NO),
        (constrained(tlv(0x30, DNS)), san("badzoo.example"), Is.YES),
        (constrained(b"", tlv(0x30, DNS)), san("www.zoo.example"), Is.YES),
        (constrained(b"", tlv(0x30, DNS)), san("other.example"), Is.NO),
        (constrained(tlv(0x30, NET)), extension("2.5.29.17", tlv(0x30, tlv(0x87, bytes([10, 1, 2, 3])))), Is.NO),
        (constrained(tlv(0x30, NET)), extension("2.5.29.17", tlv(0x30, tlv(0x87, bytes([11, 1, 2, 3])))), Is.YES),
        (constrained(tlv(0x30, MAIL)), san("www.zoo.example"), Is.NO),
        (constrained(tlv(0x30, MAIL)), extension("2.5.29.17", tlv(0x30, tlv(0x81, b"a@b"))), Is.UNKNOWN),
        (constrained(b"", tlv(0x30, tlv(0xA4, name("under.zoo.example")))), san("a.example"), Is.YES),
    ],
)
def test_name_constraints(authority: Cert, alternative: bytes, holds: Is) -> None:
    assert look(under(authority, extensions=(alternative,)), store(root()), authority)[0] is holds
    assert permitted(None, read(leaf().der)).holds is Is.YES


def test_a_thousand_forged_authorities_cost_no_more_than_the_bound() -> None:
    forged = [build("Zoo Intermediate 10", p256(i), root(), extensions=AUTHORITY) for i in range(1_000, 1_200)]
    nodes = [Node.of(read(cert.der)) for cert in forged]
    checked = 0

    def check(child: Node, parent: Node) -> Verdict:
        nonlocal checked
        checked += 1
        return signed(child, parent)

    def issuers(_: str) -> tuple[Sequence[Node], bool]:
        return nodes, True

    found = trust(Node.of(read(leaf().der)), store(root()).issuers, issuers, NOW, check)
    assert found.verdict.holds is Is.UNKNOWN
    assert found.verdict.why == f"more than {MAX_VERIFICATIONS} signatures to verify"
    assert checked <= MAX_VERIFICATIONS + 1


def test_a_ring_of_authorities_ends() -> None:
    one = build("One", p256(60), issuer_name=name("Two"), signature=b"", extensions=AUTHORITY, validity=ROOTS_VALID)
    two = build("Two", p256(61), one, extensions=AUTHORITY, validity=ROOTS_VALID)
    one = build("One", p256(60), two, extensions=AUTHORITY, validity=ROOTS_VALID)
    assert look(under(one), store(root()), one, two)[0] is Is.UNKNOWN
