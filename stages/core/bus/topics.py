"""Which topics are beside the flow: dead letters, and what a stage puts off to itself.

They are exempt from back-pressure. A stage that waited for room in its own `later` topic would wait for itself, and
dead letters have, as a rule, no reader that could make room; what keeps both small is the fuse and politeness.
"""

from __future__ import annotations

from typing import Final

#: Endings of `Topics.dead` and `Topics.later`.
SIDE_ENDINGS: Final = (".dead.v1", ".later.v1")


def is_side(topic: str) -> bool:
    """Whether a topic holds dead letters or postponed records."""
    return topic.endswith(SIDE_ENDINGS)
