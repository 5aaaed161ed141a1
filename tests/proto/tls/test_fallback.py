"""What is tried next."""

from __future__ import annotations

import pytest

from stages.proto.tls.fallback import Refusal, next_hello, refusal_of
from stages.proto.tls.offers import HELLOS


@pytest.mark.parametrize(
    ("alert", "refusal"),
    [
        ("protocol_version", Refusal.VERSION),
        ("inappropriate_fallback", Refusal.VERSION),
        ("handshake_failure", Refusal.SUITES),
        ("insufficient_security", Refusal.SUITES),
        ("decode_error", Refusal.OTHER),
        ("alert_200", Refusal.OTHER),
        (None, Refusal.OTHER),
    ],
)
def test_what_a_refusal_says(alert: str | None, refusal: Refusal) -> None:
    assert refusal_of(alert) is refusal


def order(refusal: Refusal, tried: list[str], names: list[str]) -> list[str]:
    hellos = {name: HELLOS[name] for name in names}
    out: list[str] = []
    while (spec := next_hello(refusal, [*tried, *out], hellos)) is not None:
        out.append(spec.name)
    return out


def test_the_order_of_what_is_tried() -> None:
    every = list(HELLOS)
    assert order(Refusal.VERSION, ["modern"], every) == ["old", "ancient", "wide"]
    assert order(Refusal.SUITES, ["modern"], every) == ["wide", "old", "ancient"]
    assert order(Refusal.OTHER, ["modern"], every) == ["old", "wide", "ancient"]
    assert order(Refusal.OTHER, ["modern", "old"], every) == ["wide", "ancient"]


def test_only_what_the_range_of_versions_leaves() -> None:
    assert order(Refusal.VERSION, ["modern"], ["modern", "wide"]) == ["wide"]
    assert order(Refusal.VERSION, ["modern"], ["modern"]) == []
