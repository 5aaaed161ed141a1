"""Every verdict over the zoo, by table: what holds, what does not, what cannot be known."""

from __future__ import annotations

from typing import Any

import pytest

from stages.derive.paths import Node
from stages.derive.roots import RootStore
from stages.derive.verdicts import MAX_ASKED, judge, mismatch
from stages.proto.x509.certificate import read
from tests.certificates.zoo import NOW, intermediate, leaf, root, zoo

ROOTS = RootStore.of("zoo", [root().der])
OTHERS = RootStore.of("others", [root(2).der])
POOL = RootStore.of("", [intermediate().der])


def verdicts(der: bytes, *asked: str, at: int = NOW) -> dict[str, Any]:
    stores = {"zoo": ROOTS.issuers, "others": OTHERS.issuers}
    return judge(Node.of(read(der)), at, stores, POOL.issuers, asked)


def held(der: bytes, what: str = "yes") -> set[str]:
    said = verdicts(der)
    names = {name for name, one in said.items() if isinstance(one, dict) and one.get("is") == what}
    return names | ({"untrusted"} if said["untrusted"]["zoo"]["is"] == what else set())


@pytest.mark.parametrize(
    ("name", "yes", "unknown"),
    [
        ("good", set(), set()),
        ("expired", {"expired"}, set()),
        ("not yet valid", {"not_yet_valid"}, set()),
        ("for ever", set(), set()),
        ("ends before it begins", {"expired", "not_yet_valid"}, set()),
        ("bad time", set(), {"not_yet_valid"}),
        ("no time", set(), {"expired", "not_yet_valid"}),
        ("self-signed", {"self_signed", "untrusted"}, set()),
        ("self-issued, another's signature", set(), {"untrusted"}),
        ("issuer not at hand", set(), {"untrusted"}),
        ("SHA-1", {"self_signed", "weak_signature", "untrusted"}, set()),
        ("RSA SHA-1", {"self_signed", "weak_signature", "untrusted"}, set()),
        ("MD5", {"self_signed", "weak_signature", "weak_key", "untrusted"}, set()),
        ("RSA of 512 bits", {"self_signed", "weak_key", "untrusted"}, set()),
        ("RSA of 16,384 bits", {"self_signed", "untrusted"}, set()),
        ("exponent 3", {"self_signed", "untrusted"}, set()),
        ("exponent 1", {"weak_key"}, set()),
        ("even exponent", {"weak_key"}, set()),
        ("DSA", {"self_signed", "weak_key", "untrusted"}, set()),
        ("RSA-PSS", {"self_signed", "untrusted"}, set()),
        ("Ed25519", {"self_signed", "untrusted"}, set()),
        ("unknown signature", set(), {"self_signed", "weak_signature", "untrusted"}),
        ("unknown key", set(), {"self_signed", "weak_key"}),
        ("key that is none", set(), {"self_signed", "weak_key"}),
        ("signature that does not verify", set(), {"untrusted"}),
        ("cut off", set(), {"self_signed", "untrusted"}),
        ("nothing", set(), {"expired", "not_yet_valid", "self_signed", "weak_key", "weak_signature", "untrusted"}),
    ],
)
def test_the_zoo(name: str, yes: set[str], unknown: set[str]) -> None:
    assert (held(zoo()[name]), held(zoo()[name], "unknown")) == (yes, unknown)


@pytest.mark.parametrize("name", sorted(zoo()))
def test_every_verdict_has_its_reason_and_its_time(name: str) -> None:
    said = verdicts(zoo()[name], "www.zoo.example")
    assert said.pop("at") == NOW
    every = [*said.pop("untrusted").values(), *said.pop("mismatch"), *said.values()]
    assert len(every) == 8
    for one in every:
        assert one["is"] in ("yes", "no", "unknown")
        assert one["why"]


def test_the_same_certificate_at_other_times() -> None:
    der = leaf().der
    for days, yes in ((-400, "not_yet_valid"), (400, "expired")):
        said = verdicts(der, at=NOW + days * 86_400_000_000)
        assert said[yes]["is"] == "yes"


def test_several_root_stores() -> None:
    said = verdicts(leaf().der)["untrusted"]
    assert (said["zoo"]["is"], said["others"]["is"]) == ("no", "unknown")
    assert len(said["zoo"]["path"]) == 3
    assert "path" not in said["others"]


@pytest.mark.parametrize(
    ("name", "asked", "holds"),
    [
        ("good", "www.zoo.example", "no"),
        ("good", "zoo.example", "yes"),
        ("wildcard", "a.wild.zoo.example", "no"),
        ("wildcard", "a.b.wild.zoo.example", "yes"),
        ("wildcard", "wild.zoo.example", "yes"),
        ("wildcard in the middle", "www.a.zoo.example", "yes"),
        ("no common name", "san.zoo.example", "no"),
        ("no name at all", "x.zoo.example", "yes"),
        ("version 1", "v1.zoo.example", "no"),
        ("10,000 names", "h9999.many.zoo.example", "no"),
        ("good", "10.0.0.1", "yes"),
        ("broken extension", "www.zoo.example", "unknown"),
        ("nothing", "www.zoo.example", "unknown"),
    ],
)
def test_the_name_that_was_asked(name: str, asked: str, holds: str) -> None:
    assert mismatch(read(zoo()[name]), asked).document()["is"] == holds


def test_no_name_was_asked() -> None:
    assert "mismatch" not in verdicts(leaf().der)
    assert len(verdicts(leaf().der, *(f"{i}.example" for i in range(500)))["mismatch"]) == MAX_ASKED


def test_more_names_than_are_read() -> None:
    c = read(leaf("x.example", sans=tuple(f"a{i}.example" for i in range(10_050))).der)
    assert mismatch(c, "a10049.example").document()["is"] == "unknown"
    assert mismatch(c, "a1.example").document()["is"] == "no"
