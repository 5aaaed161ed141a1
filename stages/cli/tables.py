"""Rows as a table on the terminal, or whole into a pipe. What a target said colours nothing."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

#: Characters of a cell, at most.
CELL: Final = 64

#: Characters of a line into a pipe: no cell is longer than CELL, no table has more than 14 columns.
PIPE_WIDTH: Final = 1_000


def plain(text: str) -> str:
    """Text that somebody else may have written, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


async def show_documents(documents: Sequence[Mapping[str, object]], keys: Sequence[str], *, json: bool) -> None:
    """A few documents: as JSON Lines, or as a table with a column for each of `keys`."""
    if json:
        import orjson

        for document in documents:
            sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
        return

    async def rows() -> AsyncIterator[Sequence[str]]:
        for document in documents:
            cells = (document[key] for key in keys)
            yield ["" if cell is None else str(cell)[:CELL] for cell in cells]

    await show(keys, rows())


async def show(titles: Sequence[str], rows: AsyncIterator[Sequence[str]]) -> int:
    """Print them; returns how many there were."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(escape(title), overflow="fold", no_wrap=not terminal)
    async for row in rows:
        table.add_row(*map(escape, row))
    Console(file=sys.stdout, width=None if terminal else PIPE_WIDTH).print(table)
    return table.row_count
