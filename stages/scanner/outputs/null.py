"""Output module `null`: nothing; for a scan that is only counted."""

from __future__ import annotations

from collections.abc import Sequence

from stages.scanner.outputs.base import Format
from stages.scanner.rows import Answer


class Null:
    """No output."""

    def __init__(self, wanted: Format) -> None:
        del wanted

    def begin(self) -> bytes:
        return b""

    def render(self, answers: Sequence[Answer]) -> bytes:
        return b""
