"""Names of hosts: RFC 6125 by table, and ranges of reversed names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.x509.hostnames import below, canonical_address, covers, matches, reverse

LABEL = st.text("abc*-/.~0", min_size=1, max_size=3).filter(lambda label: "." not in label)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@given(NAME)
def test_reversing_twice_is_nothing(name: str) -> None:
    assert reverse(reverse(name)) == name


@given(NAME, NAME)
def test_the_range_holds_what_is_below_and_nothing_else(name: str, parent: str) -> None:
    if "*" in parent:
        return
    found = below(f"*.{parent}")
    assert found is not None
    assert (found[0] <= reverse(name) < found[1]) is name.endswith(f".{parent}")


def test_what_is_no_wildcard() -> None:
    assert below("www.example.org") is None
    for bad in ("*", "*.", "www.*.org", "*.*.org", "w*.example.org", "*x.org"):
        with pytest.raises(ValueError, match="first labels"):
            below(bad)


@pytest.mark.parametrize(
    ("name", "pattern", "same"),
    [
        ("www.example.org", "www.example.org", True),
        ("WWW.Example.ORG.", "www.example.org", True),
        ("www.example.org", "*.example.org", True),
        ("a.b.example.org", "*.example.org", False),
        ("example.org", "*.example.org", False),
        ("www.example.org", "www.*.org", False),
        ("www.example.org", "w*.example.org", False),
        ("www.example.org", "*.*.org", False),
        ("example.org", "*.org", False),
        ("localhost", "*", False),
        (".example.org", "*.example.org", False),
        ("", "", False),
        ("*.example.org", "*.example.org", True),
    ],
)
def test_matching(name: str, pattern: str, same: bool) -> None:
    assert matches(name, pattern) is same


def test_which_names_count() -> None:
    assert covers("a.example", ["a.example"], [], ["b.example"])
    assert not covers("b.example", ["a.example"], [], ["b.example"])
    assert covers("b.example", [], [], ["b.example"])
    assert not covers("b.example", [], ["10.0.0.1"], ["b.example"])
    assert covers("10.0.0.1", ["a.example"], ["10.0.0.1"], [])
    assert covers("2001:DB8::1", [], ["2001:db8::1"], [])
    assert not covers("10.0.0.1", ["10.0.0.1"], [], [])
    assert covers("10.0.0.1", [], [], ["10.0.0.1"])
    assert canonical_address("x") is None
