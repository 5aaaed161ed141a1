"""Rows as a table on the terminal, or whole into a pipe. What a target said colours nothing."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final

#: Characters of a line into a pipe: no cell is longer than 64, no table has more than 14 columns.
PIPE_WIDTH: Final = 1_000


async def show(titles: Sequence[str], rows: AsyncIterator[Sequence[str]]) -> int:
    """Print them; returns how many there were."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=not terminal)
    async for row in rows:
        table.add_row(*map(escape, row))
    Console(file=sys.stdout, width=None if terminal else PIPE_WIDTH).print(table)
    return table.row_count
