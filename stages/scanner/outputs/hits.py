"""Output module `hits`: the full hit records, for a pipe into the next stage."""

from __future__ import annotations

from collections.abc import Sequence

from stages.scanner.outputs.base import Format
from stages.scanner.rows import Answer


class Hits:
    """Hit records as JSON Lines."""

    def __init__(self, wanted: Format) -> None:
        self._hits = wanted.hits

    def begin(self) -> bytes:
        return b""

    def render(self, answers: Sequence[Answer]) -> bytes:
        batch = self._hits.batch(answers)
        return b"".join([line + b"\n" for line in self._hits.lines(answers)]) if batch is None else batch.data
