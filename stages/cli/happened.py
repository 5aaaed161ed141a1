"""`longline query outages` and `longline query events`: what happened to services, out of a store that keeps states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from stages.derive.outages import outages
from stages.sink.history import APPLIES, APPLIES_TO_OUTAGES, without_time
from stages.sink.query import HASH_CHARS, time_of

if TYPE_CHECKING:
    from stages.sink.history import History
    from stages.sink.store import Filter

Row = dict[str, Any]
Cell = Callable[[Row], str]

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

_TARGET: Final[dict[str, Cell]] = {
    key: lambda row, key=key: str(row.get(key, ""))  # type: ignore[misc]
    for key in ("ip", "port", "transport", "name")
}


def lasting(seconds: float) -> str:
    """`3d 4h`, `5h 12m`, `59s`: the two largest units."""
    whole = int(seconds)
    for unit, letter, below, under in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "m"), (_MINUTE, "m", 1, "s")):
        if whole >= unit:
            return f"{whole // unit}{letter} {whole % unit // below}{under}"
    return f"{whole}s"


def told(event: Mapping[str, Any]) -> str:
    """An event's details, in words."""
    details = event["details"]
    kind = event["type"]
    if kind == "service_down":
        places = ", ".join(details["vantages"])
        return f"since {time_of(details['down_since'])}, missed {details['misses']} times from {places}"
    if kind == "service_up":
        return "new" if "until" not in details else f"was down since {time_of(details['down_since'])}"
    if kind == "banner_changed":
        return f"{details['said_before']} -> {details['said']}"
    if kind == "certificate_changed":
        return f"{details['before'][:HASH_CHARS]} -> {details['after'][:HASH_CHARS]}"
    place = details["from"]
    return f"{details['thing']} {details['hash'][:HASH_CHARS]} from {place['ip']} port {place['port']}"


@dataclass(frozen=True, slots=True)
class Happened:
    """What can be asked, which filters mean something, and how the answers look in a table."""

    applies: frozenset[str]
    rows: Callable[[History, Filter, int], AsyncIterator[Any]]
    columns: dict[str, Cell]

    def cells(self, row: Row) -> list[str]:
        return [cell(row) for cell in self.columns.values()]


async def _outages(history: History, where: Filter, now: int) -> AsyncIterator[Row]:
    left = where.limit
    every = replace(where, limit=None)
    ended = history.events(every, ended=True)
    async for row in outages(history.down(without_time(every)), ended, now):
        yield row
        if left is not None:
            left -= 1
            if left == 0:
                return


def _events(history: History, where: Filter, _: int) -> AsyncIterator[Row]:
    return history.events(where)


HAPPENED: Final[dict[str, Happened]] = {
    "outages": Happened(
        APPLIES_TO_OUTAGES,
        _outages,
        {
            **_TARGET,
            "down since": lambda row: time_of(row["down_since"]),
            "up at": lambda row: time_of(row["up_at"]) if "up_at" in row else "",
            "how long": lambda row: lasting(row["seconds"]),
            "last seen before": lambda row: time_of(row["last_seen"]),
        },
    ),
    "events": Happened(
        APPLIES,
        _events,
        {
            "ts": lambda row: time_of(row["ts"]),
            "event": lambda row: str(row["type"]),
            **_TARGET,
            "details": told,
            "scan": lambda row: str(row["scan"]),
            "vantage": lambda row: str(row["vantage"]),
        },
    ),
}
