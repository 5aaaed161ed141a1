"""One condition: how it is written, when it holds, and when neither it nor its contrary does."""

from __future__ import annotations

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stages.proto.rules.fields import FIELDS, Kind, Seen
from stages.proto.rules.terms import MAX_LINE, MAX_VALUES, OPERATORS, term
from tests.proto.rules.material import made, seen

ONE = seen(made({"O": "Acme, Inc.", "CN": "www.abcdefgh.net"}, life=timedelta(hours=2), dns=("a.test", "b.test")), 1)


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("self signed", True), ("not self signed", False), ("NOT Self  Signed", False), ("expired", False),
        ("suite == 0x39", True), ("suite==57", True), ("suite != 57", False), ("suite in 1,2,57", True),
        ("suite in TLS_DHE_RSA_WITH_AES_256_CBC_SHA, 1", True), ("not suite in 1, 2", True),
        ("version <= tls1.2", True), ("version < tls1.2", False), ("version in ssl3, tls1.0", False),
        ("chain length == 1", True), ("chain length > 1", False), ("chain length >= 1", True),
        ("validity <= 2h", True), ("validity < 120 m", False), ("validity > 1d", False), ("validity == 7200s", True),
        ("extensions == 0xff01, ec_point_formats", True), ("extensions == 11, 0xff01", False),
        ("extensions != none", True), ("extensions has 11", True), ("extensions has 11, 12", False),
        ("not extensions has 12", True), ("certificate extensions == 1", True), ("key bits in 256, 2048", True),
        (r"subject CN matches www\.[a-z2-7]{8,20}\.net", True), ("subject CN matches .*com", False),
        ("subject CN == www.abcdefgh.net", True), ("subject CN == WWW.abcdefgh.net", False),
        ("subject O == 'Acme, Inc.'", True), ('subject O in "x", "Acme, Inc."', True), ("subject OU == x", False),
        ("subject OU != x", True), ("names == b.test", True), ("names != b.test", False),
        ("names matches [ab]\\.test", True), ("issuer == 'CN=www.abcdefgh.net,O=Acme\\, Inc.'", True),
        ("alpn == h2", None), ("not alpn == h2", None), ("jarm in a, b", None), ("alert != x", None),
    ],
)  # fmt: skip
def test_holds(line: str, holds: bool | None) -> None:
    assert term(line).holds(ONE) is holds


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "begins with no field"), ("colour == red", "begins with no field"), ("not", "begins with no field"),
        ("suit in 1", "begins with no field"), ("self signed == yes", "nothing can follow it"),
        ("suite", "compared by one of == != in"), ("suite < 5", "compared by"), ("suite is 5", "compared by"),
        ("suite in", "nothing stands behind 'in'"), ("suite in 1,,2", "an empty value"), ("suite in 1,", "an empty"),
        ("suite == TLS_NO", "is no suite"), ("suite == 70000", "more than 16 bits"), ("version == 1.2", "not one of"),
        ("chain length == one", "not a number"), ("chain length == -1", "not a number"),
        ("validity <= 2", "not a duration"), ("validity <= 2 weeks", "not a duration"),
        ("extensions has none", "write `== none`"), ("extensions matches x", "compared by"),
        ("subject CN == a, b", "takes one value"), ("subject CN == 'a", "a quote that is not closed"),
        ("subject CN == 'a' b", "that is no comma"), ("subject CN matches (a+)+", "may take too long"),
        ("subject CN innocent", "compared by"), ("x" * (MAX_LINE + 1), "characters, at most"),
        ("suite in " + ",".join("1" * (MAX_VALUES + 1)), "more than"),
    ],
)  # fmt: skip
def test_refused(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        term(line)


def test_every_kind_has_its_operators() -> None:
    assert set(OPERATORS) == set(Kind)


SIGNS = "== != <= >= < > in has matches not , ' \" 0x39 57 2h tls1.2 www.a.net none (a|b)* [a-z]+"
WORDS = st.sampled_from([*FIELDS, *SIGNS.split()])


@given(st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=60))
def test_any_line(line: str) -> None:
    try:
        one = term(line)
    except ValueError:
        return
    assert one.line == line
    assert one.holds(ONE) in (True, False, None)
    assert one.holds(Seen()) is None
