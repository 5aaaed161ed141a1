"""Which topics are beside the flow: dead letters, what a stage puts off to itself, and standing orders.

They are exempt from back-pressure. A stage that waited for room in its own `later` topic would wait for itself, and
dead letters have, as a rule, no reader that could make room; what keeps both small is the fuse and politeness. An order
to stop must not wait, and of orders there are few.
"""

from __future__ import annotations

from typing import Final

#: Ending of `Topics.orders`.
ORDERS_ENDING: Final = ".orders.v1"

#: Endings of `Topics.dead`, `Topics.later` and `Topics.orders`.
SIDE_ENDINGS: Final = (".dead.v1", ".later.v1", ORDERS_ENDING)


def is_side(topic: str) -> bool:
    """Whether a topic holds dead letters, postponed records or orders."""
    return topic.endswith(SIDE_ENDINGS)


def is_orders(topic: str) -> bool:
    """Whether a topic holds orders, of which the last about each thing counts: it is compacted, and never divided."""
    return topic.endswith(ORDERS_ENDING)
