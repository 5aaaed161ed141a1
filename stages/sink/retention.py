"""How long observations are kept, and points in time as a user writes them. Pure.

Only observations, and events of the same age, are forgotten: `services`, their states, `certificates` and `scans` say
what was ever seen, and are small.
"""

from __future__ import annotations

from stages.core.errors import UsageError
from stages.core.quantities import parse_seconds
from stages.core.times import from_rfc3339


def before(retention: float, now: int) -> int:
    """What is older than this is forgotten: `retention` seconds before `now`, in microseconds since the epoch."""
    return now - round(retention * 1e6)


def since(text: str, now: int, option: str = "--since") -> int:
    """`2026-11-21T07:00:00Z` (any offset), or an age such as `30m`, `12h`, `7d`, as microseconds. Raises UsageError."""
    try:
        return now - round(parse_seconds(text) * 1e6)
    except ValueError:
        pass
    try:
        return from_rfc3339(text)
    except (ValueError, OverflowError):
        problem = "neither an RFC 3339 time with its offset nor an age such as 30m, 12h or 7d"
        raise UsageError(option, text, problem) from None
