"""Output module `json`: one object a line with the fields asked for; those that are unknown are left out, as ZMap
leaves them out."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from stages.scanner.outputs.base import Format
from stages.scanner.rows import Answer


class Json:
    """JSON Lines."""

    def __init__(self, wanted: Format) -> None:
        self._fields = wanted.fields

    def begin(self) -> bytes:
        return b""

    def render(self, answers: Sequence[Answer]) -> bytes:
        return b"".join([self._line(answer) for answer in answers])

    def _line(self, answer: Answer) -> bytes:
        values = {field.name: value for field in self._fields if (value := field.get(answer)) is not None}
        return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)
