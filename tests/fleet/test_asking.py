from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.netset import NetSet, Span, parse_entry
from stages.core.special import default_blocks
from stages.fleet.asking import MAX_NETWORKS, MAX_REASON, Asked, Refused, check
from stages.fleet.optout import made

LISTED = NetSet.parse(["9.9.8.0/23", "2a00::/32"], "f")


def test_a_good_one() -> None:
    asked = check(
        "8.8.8.8/24, 1.1.1.1\n 9.9.9.9 9.9.9.128/25\t8.8.8.0-8.8.8.255 2a00:0:1::/48 4.0.0.0/15 2600::/31",
        " two\r\n lines ", " a@b.example ", LISTED,
    )  # fmt: skip
    assert asked == Asked(
        ("8.8.8.0/24", "1.1.1.1", "4.0.0.0/15", "2600::/31"), ("4.0.0.0/15", "2600::/31"),
        ("9.9.9.9", "9.9.9.128/25", "2a00:0:1::/48"), "two lines", "a@b.example",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("networks", "reason", "contact", "field", "said"),
    [
        ("", "", "a@b.example", "networks", "at least one"),
        (" ,\n", "", "a@b.example", "networks", "at least one"),
        ("8.8.8.0/33", "", "a@b.example", "networks", "8.8.8.0/33: a prefix length"),
        ("dns.google", "", "a@b.example", "networks", "a name"),
        ("10.1.0.0/16", "", "a@b.example", "networks", "never scanned"),
        ("8.0.0.0/8 9.0.0.0/7", "", "a@b.example", "networks", "wider than any holder"),
        ("0.0.0.0/0", "", "a@b.example", "networks", "wider than any holder"),
        ("::/0", "", "a@b.example", "networks", "wider than any holder"),
        ("fe80::1", "", "a@b.example", "networks", "never scanned"),
        ("9.255.255.0-10.0.0.1", "", "a@b.example", "networks", "never scanned"),
        ("8.8.8.8 " * 10_000, "", "a@b.example", "networks", "by mail"),
        (" ".join(f"8.8.8.{n}" for n in range(MAX_NETWORKS + 1)), "", "a@b.example", "networks", "by mail"),
        ("8.8.8.8", "x" * (MAX_REASON + 1), "a@b.example", "reason", "at most"),
        ("8.8.8.8", "a\0b", "a@b.example", "reason", "printable"),
        ("8.8.8.8", "", "", "contact", "a mail address"),
        ("8.8.8.8", "", "a@b.example\r\nBcc: c@d.example", "contact", "a mail address"),
    ],
)
def test_a_bad_one(networks: str, reason: str, contact: str, field: str, said: str) -> None:
    refused = check(networks, reason, contact, LISTED)
    assert isinstance(refused, Refused)
    [(name, problem)] = refused.problems
    assert name == field
    assert said in problem


def test_all_that_is_wrong_is_said_at_once() -> None:
    refused = check("x y", "\0", "z", NetSet())
    assert isinstance(refused, Refused)
    assert [name for name, _ in refused.problems] == ["networks", "reason", "contact"]


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(["a@b.example", "x"]))
def test_any_text_is_answered(networks: str, reason: str, contact: str) -> None:
    check(networks, reason, contact, LISTED)


@given(
    st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, 32)), min_size=1, max_size=8),
    st.text(max_size=MAX_REASON),
)
def test_what_is_taken_can_be_kept(networks: list[tuple[int, int]], reason: str) -> None:
    text = " ".join(f"{first >> 24}.{first >> 16 & 255}.{first >> 8 & 255}.{first & 255}/{n}" for first, n in networks)
    asked = check(text, reason, "a@b.example", NetSet())
    if isinstance(asked, Refused):
        return
    spans = [parse_entry(network) for network in asked.networks]
    for network, span in zip(asked.networks, spans, strict=True):
        assert isinstance(span, Span)
        assert str(span) == network
        assert not NetSet.of([span]).intersect(default_blocks())
        made(network, "2026-11-28", "form", f"request {2**63 - 1} of {'a' * 63}: {asked.reason}")
