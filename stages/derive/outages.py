"""Outages: those that last, out of the states, and those that ended, out of the events. Pure; streams in, rows out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

Row = dict[str, Any]

_TARGET: Final = ("ip", "port", "transport", "name")


async def outages(
    down: AsyncIterator[Mapping[str, Any]], ended: AsyncIterator[Mapping[str, Any]], now: int
) -> AsyncIterator[Row]:
    """`ip port transport name last_seen down_since up_at seconds`: first those without `up_at`, which last at `now`
    (microseconds), then the others in the order of `ended`. `seconds` is how long, from `down_since`."""
    async for state in down:
        yield _row(state, state["last_seen"], state["down_since"], None, now)
    async for event in ended:
        details = event["details"]
        yield _row(event, details["last_seen"], details["down_since"], details["until"], now)


def _row(of: Mapping[str, Any], last_seen: int, down_since: int, up_at: int | None, now: int) -> Row:
    row = {key: of[key] for key in _TARGET if key in of}
    row |= {"last_seen": last_seen, "down_since": down_since}
    if up_at is not None:
        row["up_at"] = up_at
    row["seconds"] = ((now if up_at is None else up_at) - down_since) / 1e6
    return row
