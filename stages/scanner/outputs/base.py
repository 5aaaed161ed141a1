"""What an output module is: rows in, bytes out. Pure; who writes the bytes to a file is `stages.scanner.output`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stages.scanner.fields import Field
from stages.scanner.hits import HitLines
from stages.scanner.rows import Answer


@dataclass(frozen=True, slots=True)
class Format:
    """What the user asked for."""

    fields: tuple[Field, ...]  #: -f, or the probe's default
    hits: HitLines  #: renders full hit records
    header_row: bool = True  #: --no-header-row
    args: str | None = None  #: --output-args


class OutputModule(Protocol):
    """One format. Made once a scan, by its class called with a Format."""

    def begin(self) -> bytes:
        """What stands at the top of a new file."""

    def render(self, answers: Sequence[Answer]) -> bytes:
        """The answers, complete lines."""
