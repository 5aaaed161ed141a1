"""What is different between two scans: services that are new, gone, or another. Pure; two streams in, rows out.

Both streams come by address, port, transport and name, and are merged; what is held in memory is one service of each.
A service is gone when the later scan asked where it was and heard nothing; where it did not ask, nothing is known, and
nothing is said. What only one of the two has heard (a banner that was not asked for) is no change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from stages.derive.asked import Asked

#: Ports or fingerprints that are summed one by one, some 20 MB; those that come later are summed as OTHER. Prefixes
#: come in order, and need no bound.
MAX_VALUES: Final = 100_000
OTHER: Final = "other"

#: Whose fingerprint a service is summed under: the first that it has.
_FINGERPRINTS: Final = ("fingerprint", "ja3s", "jarm", "service")
UNKNOWN: Final = "unknown"


class Seen(Protocol):
    """A service as one scan saw it (`stages.sink.survey.Service`)."""

    @property
    def address(self) -> bytes: ...
    @property
    def ip(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def transport(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def facts(self) -> Mapping[tuple[str, ...], str]: ...


class How(StrEnum):
    """What became of a service."""

    ADDED = "added"
    GONE = "gone"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that is another now."""

    what: str  #: banner, service, certificate, version, fingerprint, ja3s, jarm
    asked: str  #: by which dialogue, or in which mode
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One service."""

    how: How
    service: Seen  #: as it is now; of one that is gone, as it was
    changes: tuple[Change, ...] = ()

    def shown(self) -> dict[str, Any]:
        """Ready for JSON."""
        s = self.service
        row: dict[str, Any] = {"how": str(self.how), "ip": s.ip, "port": s.port, "transport": s.transport}
        if s.name:
            row["name"] = s.name
        if self.changes:
            row["changes"] = [
                {"what": c.what, "asked": c.asked, "before": c.before, "after": c.after} for c in self.changes
            ]
        return row


@dataclass(slots=True)
class Totals:
    """Services, counted on the way."""

    added: int = 0
    gone: int = 0
    changed: int = 0
    same: int = 0
    not_asked_before: int = 0  #: new, where the earlier scan did not ask
    not_asked_after: int = 0  #: not there any more, where the later scan did not ask


@dataclass(slots=True)
class Sum:
    """Differences of one prefix, port or fingerprint."""

    value: str
    added: int = 0
    gone: int = 0
    changed: int = 0

    def add(self, how: How) -> None:
        setattr(self, how, getattr(self, how) + 1)


def _key(seen: Seen) -> tuple[bytes, int, str, str]:
    return seen.address, seen.port, seen.transport, seen.name


async def paired(
    before: AsyncIterator[Seen], after: AsyncIterator[Seen]
) -> AsyncIterator[tuple[Seen | None, Seen | None]]:
    """Each service once: as it was, as it is."""
    old, new = await anext(before, None), await anext(after, None)
    while old is not None or new is not None:
        if new is None or (old is not None and _key(old) < _key(new)):
            yield old, None
            old = await anext(before, None)
        elif old is None or _key(new) < _key(old):
            yield None, new
            new = await anext(after, None)
        else:
            yield old, new
            old, new = await anext(before, None), await anext(after, None)


def changes(old: Seen, new: Seen) -> tuple[Change, ...]:
    """What both scans have heard, and is another now."""
    return tuple(
        Change(fact[0], fact[1], old.facts[fact], new.facts[fact])
        for fact in sorted(old.facts.keys() & new.facts.keys())
        if old.facts[fact] != new.facts[fact]
    )


async def differences(
    before: AsyncIterator[Seen],
    after: AsyncIterator[Seen],
    asked_before: Asked,
    asked_after: Asked,
    totals: Totals,
) -> AsyncIterator[Difference]:
    """Service by service, in the order of the streams; counted in `totals`."""
    async for old, new in paired(before, after):
        if new is None:
            assert old is not None
            if asked_after.holds(old.address, old.port, old.transport):
                totals.gone += 1
                yield Difference(How.GONE, old)
            else:
                totals.not_asked_after += 1
        elif old is None:
            if asked_before.holds(new.address, new.port, new.transport):
                totals.added += 1
                yield Difference(How.ADDED, new)
            else:
                totals.not_asked_before += 1
        elif changed := changes(old, new):
            totals.changed += 1
            yield Difference(How.CHANGED, new, changed)
        else:
            totals.same += 1


def fingerprint(seen: Seen) -> str:
    """What a service is summed under: its fingerprint of TLS, else what speaks there."""
    for wanted in _FINGERPRINTS:
        for fact in sorted(seen.facts):
            if fact[0] == wanted:
                return f"{wanted} {seen.facts[fact]}"
    return UNKNOWN


@dataclass(slots=True)
class _Sums:
    most: int
    sums: dict[str, Sum] = field(default_factory=dict)

    def of(self, value: str) -> Sum:
        known = self.sums.get(value)
        if known is None:
            value = value if len(self.sums) < self.most else OTHER
            known = self.sums.setdefault(value, Sum(value))
        return known


async def summed(
    rows: AsyncIterator[Difference], value: Callable[[Seen], str], *, in_order: bool, most: int = MAX_VALUES
) -> AsyncIterator[Sum]:
    """Sums by what `value` says of a service. `in_order`: equal values come one after the other, and a sum goes out
    as soon as the next begins; else all of them at the end, the greatest first."""
    if in_order:
        current: Sum | None = None
        async for row in rows:
            of = value(row.service)
            if current is None or current.value != of:
                if current is not None:
                    yield current
                current = Sum(of)
            current.add(row.how)
        if current is not None:
            yield current
        return
    sums = _Sums(most)
    async for row in rows:
        sums.of(value(row.service)).add(row.how)
    for one in sorted(sums.sums.values(), key=lambda s: (-(s.added + s.gone + s.changed), s.value)):
        yield one
