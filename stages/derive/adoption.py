"""How the services of a network divide, scan by scan or day by day. Pure; a stream of counts in, a small table out.

Counts come with equal values together. What is held in memory is the most frequent values, each with its counts in all
groups, and one sum of all the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

G = TypeVar("G")


class Tally(Protocol):
    """So many services with this value in this group (`stages.sink.survey.Tally`)."""

    @property
    def value(self) -> Any: ...
    @property
    def group(self) -> Any: ...
    @property
    def count(self) -> int: ...


@dataclass(slots=True)
class Adoption(Generic[G]):
    """Value -> group -> services, the most frequent value first; None: not known."""

    values: dict[str | None, Counter[G]] = field(default_factory=dict)
    other: Counter[G] = field(default_factory=Counter)  #: all that are less frequent
    totals: Counter[G] = field(default_factory=Counter)
    hidden: int = 0  #: values among the others

    def share(self, count: int, group: G) -> float:
        """Of all services of the group, 0 to 1; six digits."""
        total = self.totals[group]
        return round(count / total, 6) if total else 0.0

    def row(self, group: G) -> dict[str, Any]:
        """One group, ready for JSON."""
        counts = [(value, of[group]) for value, of in self.values.items()]
        row: dict[str, Any] = {
            "services": self.totals[group],
            "values": [{"value": v, "count": n, "share": self.share(n, group)} for v, n in counts],
        }
        if self.hidden:
            other = self.other[group]
            row["other"] = {"values": self.hidden, "count": other, "share": self.share(other, group)}
        return row

    def cells(self, group: G) -> list[str]:
        """One group in a table: `12 (3.4%)` for each value."""
        counts = [of[group] for of in self.values.values()]
        counts += [self.other[group]] if self.hidden else []
        return [f"{count} ({self.share(count, group):.1%})" for count in counts]


async def adoption(
    tallies: AsyncIterator[Tally], top: int, label: Callable[[Any], str | None] = lambda value: value
) -> Adoption[Any]:
    """The `top` most frequent values over all groups, and the rest. `label`: what a value is summed under."""
    found: Adoption[Any] = Adoption()
    current: str | None = None
    counts: Counter[Any] = Counter()

    def settle() -> None:
        """The value is complete. Where it is one too many, the least frequent goes to the others."""
        if not counts:
            return
        found.values.setdefault(current, Counter()).update(counts)
        if len(found.values) > top:
            least = min(found.values, key=lambda value: _rank(value, found.values[value]))
            found.other.update(found.values.pop(least))
            found.hidden += 1

    async for tally in tallies:
        value = label(tally.value)
        if value != current:
            settle()
            current, counts = value, Counter()
        counts[tally.group] += tally.count
        found.totals[tally.group] += tally.count
    settle()
    found.values = dict(sorted(found.values.items(), key=lambda item: _rank(*item), reverse=True))
    return found


def _rank(value: str | None, counts: Counter[Any]) -> tuple[int, Sequence[int]]:
    """The more frequent one; of two the one that sorts first."""
    return counts.total(), [-ord(c) for c in value or ""]
