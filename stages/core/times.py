"""Times: int64 microseconds since the epoch inside, RFC 3339 UTC with microseconds outside."""

from __future__ import annotations

import datetime as _dt
from functools import lru_cache
from typing import Final

_UTC = _dt.UTC

#: What four digits of a year can say, in microseconds since the epoch: the years 1 to 9999.
EARLIEST: Final = -62_135_596_800_000_000
LATEST: Final = 253_402_300_799_999_999


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    # Not strftime: its %Y does not pad years before 1000 with zeros on every platform.
    return _dt.datetime.fromtimestamp(seconds, _UTC).isoformat()[:19] + "."


def rfc3339(us: int) -> str:
    """`us` microseconds since the epoch as `2026-11-21T07:10:00.000001Z`."""
    seconds, rest = divmod(us, 1_000_000)
    return f"{_second(seconds)}{rest:06d}Z"


#: Shape of what `rfc3339` writes: `2026-11-21T07:10:00` and `.000001Z` behind it.
_WHOLE: Final = 19
_LENGTH: Final = 27


@lru_cache(maxsize=64)
def _whole(text: str) -> int:
    return _any_form(f"{text}.000000Z")


def from_rfc3339(text: str) -> int:
    """The inverse of `rfc3339`; any offset is accepted. Raises ValueError."""
    if len(text) == _LENGTH and text[_WHOLE] == "." and text[-1] == "Z":  # our own form: records of a second share it
        digits = text[_WHOLE + 1 : -1]
        if digits.isdecimal() and digits.isascii():
            return _whole(text[:_WHOLE]) + int(digits)
    return _any_form(text)


def _any_form(text: str) -> int:
    moment = _dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no offset from UTC in {text!r}")
    whole = moment.replace(microsecond=0)
    us = round(whole.timestamp()) * 1_000_000 + moment.microsecond
    if not EARLIEST <= us <= LATEST:
        raise ValueError(f"not within the years 1 to 9999 in UTC: {text!r}")
    return us
