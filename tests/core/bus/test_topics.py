from __future__ import annotations

import pytest

from stages.core.bus.base import Topics
from stages.core.bus.topics import is_orders, is_side

NAMES = Topics("any.prefix")


@pytest.mark.parametrize("topic", [NAMES.dead, NAMES.later("bannergrab"), NAMES.orders])
def test_side(topic: str) -> None:
    assert is_side(topic)
    assert is_orders(topic) == (topic == NAMES.orders)


@pytest.mark.parametrize("topic", [NAMES.hits, NAMES.banners, NAMES.tls, NAMES.scans, "dead.v1.hits.v1"])
def test_flow(topic: str) -> None:
    assert not is_side(topic)
