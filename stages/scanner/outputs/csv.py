"""Output module `csv`, ZMap's default: a header row, then a row an answer.

Quoted after RFC 4180 where a value holds a comma, a quote or a line end; booleans are 0 and 1 and an unknown value is
empty, as ZMap writes them; a list of objects is one cell of JSON. Lines end in LF, not CR LF: the tools at the other
end of the pipe cut at LF.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from stages.scanner.fields import Value
from stages.scanner.outputs.base import Format
from stages.scanner.rows import Answer, address_text

_SPECIAL: Final = frozenset(',"\r\n')


class Csv:
    """Comma-separated values."""

    def __init__(self, wanted: Format) -> None:
        self._fields = wanted.fields
        self._header = wanted.header_row
        self._only_address = [field.name for field in wanted.fields] == ["saddr"]

    def begin(self) -> bytes:
        return (",".join(field.name for field in self._fields) + "\n").encode() if self._header else b""

    def render(self, answers: Sequence[Answer]) -> bytes:
        if self._only_address:  # by far the usual case, and nothing in it needs quoting
            return "".join([f"{address_text(answer.address)}\n" for answer in answers]).encode()
        getters = [field.get for field in self._fields]
        lines = [",".join([_cell(get(answer)) for get in getters]) for answer in answers]
        return "".join([f"{line}\n" for line in lines]).encode()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if value is True or value is False:
        return "1" if value else "0"
    if isinstance(value, list):
        text = orjson.dumps(value).decode()
    else:
        text = f"{value:.6f}" if isinstance(value, float) else str(value)
    if _SPECIAL.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'
