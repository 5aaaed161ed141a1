"""Rows that are made as they are shown: JSON Lines, or a table; the first so many are shown, all are counted."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from stages.cli.tables import show

#: As JSON, and as the cells of a table.
Row = tuple[Mapping[str, Any], Sequence[str]]


class RowsOut:
    """`limit` 0: all. `count` and `cut` say afterwards how many there were, and whether some were not shown."""

    def __init__(self, json: bool, limit: int) -> None:
        self._json, self._limit = json, limit
        self.count = 0

    @property
    def cut(self) -> bool:
        return bool(self._limit) and self.count > self._limit

    async def show(self, titles: Sequence[str], rows: AsyncIterator[Row]) -> None:
        """To the end of `rows`."""
        if not self._json:
            await show(titles, self._cells(rows))
            return
        import orjson

        async for document, _ in self._shown(rows):
            sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))

    async def _shown(self, rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
        async for row in rows:
            self.count += 1
            if not self.cut:
                yield row

    async def _cells(self, rows: AsyncIterator[Row]) -> AsyncIterator[Sequence[str]]:
        async for _, cells in self._shown(rows):
            yield cells
