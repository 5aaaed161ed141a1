"""What was found against what is there. Pure.

Three kinds of fault: `missing` (open, not found), `invented` (found, not open) and `wrong` (found, but not as it is).
Found twice is a fault too, and counts as invented the second time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from stages.simnet.expectation import Expected

#: (ip, port, transport)
Key = tuple[str, int, str]

#: Faults of each kind that `Difference.lines` shows.
SHOWN: Final = 10

#: Bytes of a banner that a fault shows.
_SHOWN_BYTES: Final = 60


@dataclass(frozen=True, slots=True)
class Found:
    """One service as the store has it. None: not known, or not asked for."""

    ip: str
    port: int
    outcome: str | None = None
    data: bytes | None = None
    chain: tuple[str, ...] | None = None
    version: str | None = None
    transport: str = "tcp"

    @property
    def key(self) -> Key:
        return self.ip, self.port, self.transport


@dataclass(frozen=True, slots=True)
class Wrong:
    """One detail that is not as it should be."""

    key: Key
    what: str  #: outcome, data, chain, version
    expected: object
    found: object


@dataclass(slots=True)
class Difference:
    """All faults. False when there is none: `if difference: ...`."""

    missing: list[Key] = field(default_factory=list)
    invented: list[Key] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    right: int = 0  #: services without a fault

    def __bool__(self) -> bool:
        return bool(self.missing or self.invented or self.wrong)

    def lines(self, shown: int = SHOWN) -> list[str]:
        """For people: the first `shown` of each kind, and how many more there are."""
        text: list[str] = []
        faults: tuple[tuple[str, list[str]], ...] = (
            ("missing", [_place(key) for key in self.missing[:shown]]),
            ("invented", [_place(key) for key in self.invented[:shown]]),
            (
                "wrong",
                [f"{_place(w.key)}: {w.what} is {_show(w.found)}, not {_show(w.expected)}" for w in self.wrong[:shown]],
            ),
        )
        for name, places in faults:
            count = len(getattr(self, name))
            text += [f"{name}: {place}" for place in places]
            if count > shown:
                text.append(f"{name}: and {count - shown} more")
        return text


def _place(key: Key) -> str:
    return f"{key[0]}:{key[1]}/{key[2]}"


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value[:_SHOWN_BYTES]!r}"
    if isinstance(value, tuple):
        return f"{len(value)} certificates {[str(v)[:16] for v in value]}"
    return repr(value)


def compare(expected: Iterable[Expected], found: Iterable[Found], *, details: bool = True) -> Difference:
    """Find every fault. `details` False compares only what was found where, as after a scan without grabs.

    A detail of None on the expected side claims nothing; a detail of None that was expected is a fault.
    """
    difference = Difference()
    left = {(e.ip, e.port, e.transport): e for e in expected}
    for one in found:
        wanted = left.pop(one.key, None)
        if wanted is None:
            difference.invented.append(one.key)
            continue
        faults = _faults(wanted, one) if details else []
        difference.wrong += faults
        difference.right += not faults
    difference.missing = list(left)
    return difference


def _faults(wanted: Expected, one: Found) -> list[Wrong]:
    return [
        Wrong(one.key, what, getattr(wanted, what), getattr(one, what))
        for what in ("outcome", "data", "chain", "version")
        if getattr(wanted, what) is not None and getattr(wanted, what) != getattr(one, what)
    ]
