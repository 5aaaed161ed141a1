"""Rows of a scan: kept whole, and their addresses passed on. What `longline tee` does with the lines. Pure.

The first line of CSV names the columns; the address is `saddr`, else the first. `--success-only` passes what has
`success` 1 or true. JSON Lines are read by their keys (`saddr`, or `ip` of a hit). With `raw` every line is passed as
it is.
"""

from __future__ import annotations

import csv
import json
from typing import Final

from stages.core.netset import parse_address

#: Columns that hold the address, best first.
ADDRESSES: Final = ("saddr", "ip")
_SUCCESS: Final = "success"
_TRUE: Final = ("1", "true")


class Rows:
    """Lines in, addresses out."""

    def __init__(self, *, success_only: bool = False, raw: bool = False) -> None:
        self._success_only = success_only
        self._raw = raw
        self._names: list[str] | None = None
        self._address = 0
        self._success: int | None = None
        self.rows = 0  #: seen, without the header
        self.passed = 0

    def take(self, line: bytes) -> bytes | None:
        """What is passed on for `line`, with its line end; None: nothing. Raises ValueError for --success-only without
        such a column."""
        text = line.decode("utf-8", "replace").strip("\r\n")
        if self._raw:
            self.rows += 1
            self.passed += 1
            return line if line.endswith(b"\n") else line + b"\n"
        if not text.strip():
            return None
        if text.lstrip().startswith("{"):
            found = self._object(text)
        else:
            cells = next(csv.reader([text], skipinitialspace=True))
            if self._names is None and not self._begin(cells):
                return None
            found = self._row(cells)
        self.rows += 1
        if found is None:
            return None
        self.passed += 1
        return f"{found}\n".encode()

    def _begin(self, cells: list[str]) -> bool:
        """The first line: False if it names the columns, True if it is a row already."""
        try:
            parse_address(cells[0].strip())
        except ValueError:
            self._names = [cell.strip() for cell in cells]
            self._address = next((self._names.index(name) for name in ADDRESSES if name in self._names), 0)
            self._success = self._names.index(_SUCCESS) if _SUCCESS in self._names else None
        else:
            self._names = []
        if self._success_only and self._success is None:
            raise ValueError("the rows have no column `success`: give it to the scan (-f saddr,success)")
        return self._names == []

    def _row(self, cells: list[str]) -> str | None:
        if len(cells) <= self._address:
            return None
        if self._success_only:
            assert self._success is not None
            if len(cells) <= self._success or cells[self._success].strip().lower() not in _TRUE:
                return None
        return cells[self._address].strip()

    def _object(self, text: str) -> str | None:
        try:
            held = json.loads(text)
        except ValueError:
            return None
        address = next((held[name] for name in ADDRESSES if isinstance(held.get(name), str)), None)
        if self._success_only and str(held.get(_SUCCESS)).lower() not in _TRUE:
            return None
        return address
