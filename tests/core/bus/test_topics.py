from __future__ import annotations

import pytest

from stages.core.bus.base import Topics
from stages.core.bus.topics import is_exempt, is_fleet, is_orders, is_side

NAMES = Topics("any.prefix")


@pytest.mark.parametrize("topic", [NAMES.dead, NAMES.later("bannergrab")])
def test_side(topic: str) -> None:
    assert is_side(topic)
    assert is_exempt(topic)


@pytest.mark.parametrize(
    "topic", [NAMES.hits, NAMES.banners, NAMES.tls, NAMES.scans, "dead.v1.hits.v1", NAMES.hits_of("work")]
)
def test_flow(topic: str) -> None:
    assert not is_side(topic)
    assert not is_exempt(topic)


@pytest.mark.parametrize("topic", [NAMES.agents, NAMES.claims, NAMES.work])
def test_what_a_fleet_says_waits_for_nobody(topic: str) -> None:
    assert is_fleet(topic)
    assert is_exempt(topic)
    assert not is_side(topic)


def test_orders_wait_for_nobody_and_are_kept() -> None:
    assert is_orders(NAMES.orders)
    assert is_exempt(NAMES.orders)
    assert not is_side(NAMES.orders)
    assert not is_orders(NAMES.hits_of("orders"))


def test_events_need_no_reader_and_are_records() -> None:
    assert is_exempt(NAMES.events)
    assert not is_side(NAMES.events)
