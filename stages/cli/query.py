"""`longline query`: look at what is stored, as a table or as JSON Lines."""

from __future__ import annotations

import argparse
import sys

from stages.cli.sections import READING, add_settings, load_settings

SECTIONS = ("query", "store")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("collection", choices=READING, help="what to look at")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os
    import time

    import orjson

    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.sink.app import open_store
    from stages.sink.query import COLUMNS, cells_of, filter_of, reading, shown
    from stages.sink.settings import QuerySettings, SinkSettings
    from stages.sink.store import Collection

    settings = loaded.get("query", QuerySettings)
    collection = Collection(args.collection)
    where = filter_of(settings, collection, int(time.time() * 1e6))
    set_up(os.environ, default="warning")

    async def main(_: Life) -> int:
        store = open_store(loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings), read_only=True)
        async with reading(store) as opened:
            if settings.json_:
                async for document in opened.find(collection, where):
                    sys.stdout.buffer.write(orjson.dumps(shown(document), option=orjson.OPT_APPEND_NEWLINE))
                return 0

            from rich.console import Console
            from rich.table import Table

            table = Table(box=None, pad_edge=False)
            for title in COLUMNS[collection]:
                table.add_column(title, overflow="fold", no_wrap=not sys.stdout.isatty())
            async for document in opened.find(collection, where):
                # Text, not markup: what a target said must not colour the terminal.
                table.add_row(*map(_plain, cells_of(collection, document)))
            # A pipe gets the whole width of the table; a terminal its own.
            Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)
            if settings.limit and table.row_count == settings.limit:
                sys.stderr.write(f"longline query: the first {settings.limit}; --limit 0 shows all\n")
        return 0

    return launch(main)


#: Characters of a line into a pipe: no cell is longer than 64, no collection has more than 12 columns.
PIPE_WIDTH = 1_000


def _plain(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)
