"""The answers of a mixed scan: which part each belongs to, and so its record and its fields. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from stages.scanner.fields import Field, Value, fields_of, pick
from stages.scanner.hits import HitLines
from stages.scanner.parts import Part
from stages.scanner.probes import entry
from stages.scanner.rows import Answer, transport_of

#: What a mixed scan prints unless told otherwise: the port alone would not say what was probed.
DEFAULT_FIELDS: Final = "saddr,sport,proto"

_OWN: Final = (
    Field("proto", "string", "transport of the probe: tcp, udp or icmp", transport_of),
)  # fmt: skip


def part_finder(parts: Sequence[Part]) -> Callable[[Answer], int]:
    """A function from an answer to the number of its part."""
    table = {(part.transport, port): number for number, part in enumerate(parts) for port in part.ports}
    return lambda answer: table[transport_of(answer), answer.port]


def mixed_fields(text: str | None, parts: Sequence[Part]) -> tuple[Field, ...]:
    """The fields of `-f`, or the default: those of all parts by name; of an answer to another part, one is unknown.

    Raises ValueError that names the field and the nearest one.
    """
    every: dict[str, list[Field | None]] = {}
    for number, part in enumerate(parts):
        for field in fields_of(part.probe):
            every.setdefault(field.name, [None] * len(parts))[number] = field
    find = part_finder(parts)
    fields = [*(_either(choices, find) for choices in every.values()), *_OWN]
    return pick(DEFAULT_FIELDS if text is None else text, fields, "this mixed scan")


def _either(choices: Sequence[Field | None], find: Callable[[Answer], int]) -> Field:
    first = next(field for field in choices if field is not None)
    if all(field == first for field in choices):
        return first

    def get(answer: Answer) -> Value:
        field = choices[find(answer)]
        return None if field is None else field.get(answer)

    return replace(first, get=get)


class MixedHitLines(HitLines):
    """Renders each answer as a hit of its own part's probe."""

    __slots__ = ("_by_part", "_find")

    def __init__(self, lines: HitLines, parts: Sequence[Part]) -> None:
        super().__init__(lines.source)
        self._find = part_finder(parts)
        self._by_part = [
            HitLines(replace(lines.source, probe=part.probe, transport=entry(part.probe).transport)) for part in parts
        ]

    def line(self, answer: Answer) -> bytes:
        """One hit, without its line end."""
        return self._by_part[self._find(answer)].line(answer)

    def lines(self, answers: Iterable[Answer]) -> list[bytes]:
        """Many hits, without their line ends."""
        return [self.line(answer) for answer in answers]

    def keyed(self, answers: Iterable[Answer]) -> list[tuple[bytes, bytes]]:
        """Many hits as (key, line)."""
        return [pair for answer in answers for pair in self._by_part[self._find(answer)].keyed([answer])]


def lines_of(lines: HitLines, parts: Sequence[Part]) -> HitLines:
    """What renders the hits of a scan of these parts."""
    return lines if len(parts) == 1 else MixedHitLines(lines, parts)
