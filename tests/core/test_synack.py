"""SYN-ACKs in one line."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stages.core.records import Hit
from stages.core.synack import INITIAL_TTLS, initial_ttl, synack_of

LINUX = {"window": 64240, "mss": 1460, "wscale": 7, "sack": True, "ts_val": 1, "ts_ecr": 2}


@pytest.mark.parametrize(
    ("tcp", "ttl", "text"),
    [
        (LINUX, 52, "64:64240:1460:7:st"),
        ({**LINUX, "ts_val": None, "ts_ecr": None}, 117, "128:64240:1460:7:s"),
        ({"window": 14600, "mss": None, "wscale": None, "sack": False, "ts_val": None}, 255, "255:14600:::-"),
        ({"window": 0, "mss": 536, "wscale": 0, "sack": False, "ts_val": 0}, 32, "32:0:536:0:t"),
        (LINUX, None, ":64240:1460:7:st"),
        (LINUX, 256, ":64240:1460:7:st"),
        ({"mss": 1460}, 64, None),
        (None, 64, None),
    ],
)
def test_in_one_line(tcp: dict[str, Any] | None, ttl: int | None, text: str | None) -> None:
    assert synack_of(tcp, ttl) == text


@given(st.integers(0, 255))
def test_the_initial_ttl_is_the_least_that_it_may_have_been(ttl: int) -> None:
    assert initial_ttl(ttl) == min(initial for initial in INITIAL_TTLS if initial >= ttl)


JSON = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats() | st.lists(st.integers(), max_size=1)
)


@given(st.dictionaries(st.sampled_from(sorted(LINUX)), JSON), st.none() | st.integers())
def test_whatever_a_hit_holds(tcp: dict[str, Any], ttl: int | None) -> None:
    said = synack_of(Hit(scan="s", ts=0, ip="192.0.2.1", port=1, tcp=tcp).tcp, ttl)
    assert said is None or said.count(":") == 4
