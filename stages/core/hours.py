"""Hours of the day in which something may be done: `22-6`, `0-24`; of local time or of a named time zone.

The clock is the caller's: a time comes in as seconds since the epoch.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stages.core.errors import UsageError

#: The zone of this machine, in place of a name.
LOCAL: Final = "local"

#: Whole hours that are looked through for the next change: a day, and one that a clock change may add.
_LOOK: Final = 26


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the day, over midnight too: from `first` until before `last`."""

    first: int = 0
    last: int = 24

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Raises UsageError."""
        first, dash, last = text.partition("-")
        if dash and first.isdecimal() and last.isdecimal() and int(first) < 24 and int(last) <= 24 and first != last:
            return cls(int(first), int(last))
        raise UsageError("--hours", text, "not hours of the day such as 22-6")

    @property
    def always(self) -> bool:
        return (self.last - self.first) % 24 == 0

    def contain(self, hour: int) -> bool:
        if self.first < self.last:
            return self.first <= hour < self.last
        return hour >= self.first or hour < self.last


@dataclass(frozen=True, slots=True)
class Opening:
    """Hours of the day in a time zone."""

    hours: Hours = field(default_factory=Hours)
    zone: str = LOCAL

    @classmethod
    def parse(cls, hours: str, zone: str) -> Opening:
        """Raises UsageError."""
        if zone != LOCAL:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise UsageError("zone", zone, "no time zone of this machine, such as Europe/Berlin or UTC") from None
        return cls(Hours.parse(hours), zone)

    def hour(self, at: float) -> int:
        """The hour of the day at a time."""
        return self._moment(at).hour

    def open(self, at: float) -> bool:
        return self.hours.always or self.hours.contain(self.hour(at))

    def change(self, at: float) -> float | None:
        """When it opens or closes next; None: never."""
        if self.hours.always:
            return None
        now, moment = self.open(at), self._moment(at)
        edge = at - (moment.minute * 60 + moment.second + moment.microsecond / 1e6)
        for _ in range(_LOOK):
            edge += 3_600
            if self.open(edge) != now:
                return edge
        return None

    def opens(self, at: float) -> float:
        """The first moment from `at` on at which it is open."""
        if self.open(at):
            return at
        change = self.change(at)
        return at if change is None else change

    @property
    def share(self) -> float:
        """Part of the day that is open, 0 to 1."""
        return 1.0 if self.hours.always else ((self.hours.last - self.hours.first) % 24) / 24

    def _moment(self, at: float) -> dt.datetime:
        return dt.datetime.fromtimestamp(at, dt.UTC).astimezone(None if self.zone == LOCAL else ZoneInfo(self.zone))
