"""What can be asked of a handshake, and that what was not seen is unknown."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stages.proto.rules.fields import FIELDS, Field, Kind, Seen
from stages.proto.x509.certificate import read
from stages.proto.x509.shape import shape_of
from tests.proto.rules.material import AT, made, seen

SUBJECT = {
    "C": "DE",
    "ST": "Hessen",
    "L": "Darmstadt",
    "O": "Acme, Inc.",
    "OU": "R",
    "CN": "a.test",
    "email": "r@a.test",
}
ISSUER = {"O": "Root", "CN": "Root CA"}
LEAF = made(SUBJECT, ISSUER, dns=("b.test", "c.test"), life=timedelta(hours=2))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", ("ok",)), ("version", 0x0303), ("suite", 0x39), ("compression", 0), ("session id length", 32),
        ("extensions", (0xFF01, 11)), ("alpn", ("h2",)), ("alert", None), ("ja3s", ("x",)), ("jarm", ("y",)),
        ("fingerprint", ("z",)), ("synack", ("64",)), ("chain length", 2), ("self signed", False), ("expired", False),
        ("readable", True), ("ca", False), ("validity", 7200), ("certificate version", 3),
        ("certificate extensions", 1), ("serial", ("4711",)), ("serial length", 2),
        ("signature", ("ecdsa-with-SHA256",)), ("key type", ("ec",)), ("key bits", 256),
        ("names", ["b.test", "c.test", "a.test"]), ("sha256", (sha256(LEAF).hexdigest(),)),
        ("key sha256", (sha256(read(LEAF).spki).hexdigest(),)), ("shape", (shape_of(read(LEAF)),)),
        ("subject attributes", 7), ("issuer attributes", 2), ("issuer", ("CN=Root CA,O=Root",)),
        ("subject", (r"1.2.840.113549.1.9.1=r@a.test,CN=a.test,OU=R,O=Acme\, Inc.,L=Darmstadt,ST=Hessen,C=DE",)),
        ("subject cn", ["a.test"]), ("subject o", ["Acme, Inc."]), ("subject ou", ["R"]), ("subject c", ["DE"]),
        ("subject st", ["Hessen"]), ("subject l", ["Darmstadt"]), ("subject email", ["r@a.test"]),
        ("subject serialnumber", []), ("issuer cn", ["Root CA"]), ("issuer o", ["Root"]), ("issuer ou", []),
        ("issuer c", []), ("issuer st", []), ("issuer l", []), ("issuer email", []), ("issuer serialnumber", []),
    ],
)  # fmt: skip
def test_each(field: str, value: Any) -> None:
    one = seen(LEAF, 2, alpn="h2", ja3s="x", jarm="y", fingerprint="z", synack="64")
    assert FIELDS[field].get(one) == value


def test_the_table_above_has_them_all() -> None:
    (mark,) = test_each.pytestmark  # type: ignore[attr-defined]
    assert {field for field, _ in mark.args[1]} == set(FIELDS)


def test_nothing_is_known_of_nothing() -> None:
    assert {name for name, field in FIELDS.items() if field.get(Seen()) is not None} == set()


def test_self_signed_needs_the_signature() -> None:
    get = FIELDS["self signed"].get
    assert get(seen(made(SUBJECT))) is True
    assert get(seen(made(SUBJECT, kind="rsa2048"))) is True
    assert get(seen(made(SUBJECT, own=False))) is False
    assert get(seen(made(SUBJECT, ISSUER, own=True))) is False
    assert get(seen(made(SUBJECT)[:40])) is None


def test_asked_once() -> None:
    count = [0]

    def get(_: Seen) -> int:
        count[0] += 1
        return 5

    one, counted = seen(LEAF), Field("counted", Kind.NUMBER, get)
    assert [one.value(counted), one.value(counted)] == [5, 5]
    assert count[0] == 1


def test_expired_by_the_time_of_the_handshake() -> None:
    get = FIELDS["expired"].get
    assert get(seen(LEAF, at=AT)) is False
    assert get(seen(LEAF, at=AT + 3 * 3600 * 10**6)) is True


@given(st.binary(max_size=300), st.integers(0, 400))
def test_of_any_certificate(noise: bytes, cut: int) -> None:
    for leaf in (noise, LEAF[:cut] + noise):
        for field in FIELDS.values():
            value = field.get(seen(leaf))
            if value is not None and field.kind is Kind.TEXT:
                assert all(isinstance(text, str) for text in value)
