"""Which topics are beside the flow: dead letters, what a stage puts off to itself, events, orders, what a fleet says.

They are exempt from back-pressure. A stage that waited for room in its own `later` topic would wait for itself, and
dead letters have, as a rule, no reader that could make room; what keeps both small is the fuse and politeness. So are
events, which need no reader either; there are as many as services change. An order to stop must not wait, and of orders
there are few. A coordinator must not wait for an agent that is away; what a fleet says is small, and soon too old.
"""

from __future__ import annotations

from typing import Final

#: Endings of `Topics.dead` and `Topics.later`.
SIDE_ENDINGS: Final = (".dead.v1", ".later.v1")

#: Ending of `Topics.events`.
EVENTS_ENDING: Final = ".events.v1"

#: Ending of `Topics.orders`.
ORDERS_ENDING: Final = ".orders.v1"

#: Endings of `Topics.agents`, `Topics.claims` and `Topics.work`.
FLEET_ENDINGS: Final = (".agents.v1", ".claims.v1", ".work.v1")

#: What stands before the name of a scanner in `Topics.hits_of`, which may be any.
_OF_SCANNER: Final = ".hits."


def is_side(topic: str) -> bool:
    """Whether a topic holds dead letters or postponed records."""
    return topic.endswith(SIDE_ENDINGS)


def is_orders(topic: str) -> bool:
    """Whether a topic holds orders, of which the last about each thing counts: it is compacted, and never divided."""
    return topic.endswith(ORDERS_ENDING) and _OF_SCANNER not in topic


def is_fleet(topic: str) -> bool:
    """Whether a coordinator and its agents talk there."""
    return topic.endswith(FLEET_ENDINGS) and _OF_SCANNER not in topic


def is_exempt(topic: str) -> bool:
    """Whether a topic takes what is published at any time: no reader of it is waited for."""
    return is_side(topic) or topic.endswith(EVENTS_ENDING) or is_orders(topic) or is_fleet(topic)
