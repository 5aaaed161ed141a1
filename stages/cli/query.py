"""`longline query`: look at what is stored, as a table or as JSON Lines."""

from __future__ import annotations

import argparse
import sys

from stages.cli import stats
from stages.cli.sections import HAPPENED, READING, add_settings, load_settings

SECTIONS = ("query", "stats", "store")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("collection", choices=(*READING, *HAPPENED, stats.STATS), help="what to look at")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)
    if args.collection == stats.STATS:
        return stats.run(args, loaded)
    stats.refused_elsewhere(args)

    import os
    import time
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AsyncExitStack
    from functools import partial
    from typing import Any

    import orjson

    from stages.cli.happened import HAPPENED as ASKED
    from stages.cli.questions import ask, question_of
    from stages.cli.tables import show
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.sink.app import is_corpus, open_corpus, open_history, open_to_show
    from stages.sink.query import (
        COLUMNS,
        cells_of,
        certificates,
        documents,
        filter_of,
        filter_of_history,
        reading,
        shown,
    )
    from stages.sink.settings import QuerySettings, SinkSettings
    from stages.sink.store import Collection

    settings = loaded.get("query", QuerySettings)
    now = int(time.time() * 1e6)
    happened = ASKED.get(args.collection)
    question = question_of(settings, args.collection)
    if happened is not None:
        where = filter_of_history(settings, args.collection, happened.applies, now)
    else:
        where = filter_of(settings, Collection(args.collection), now)
    set_up(os.environ, default="warning")

    async def opened(
        stack: AsyncExitStack,
    ) -> tuple[AsyncIterator[dict[str, Any]], Sequence[str], Callable[[dict[str, Any]], Sequence[str]]]:
        """(documents, titles of the columns, cells of a row)"""
        opening = loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings)
        if happened is not None:
            history = open_history(*opening, read_only=True)
            await stack.enter_async_context(reading(history))
            return happened.rows(history, where, now), list(happened.columns), happened.cells
        collection = Collection(args.collection)
        titles, cells = list(COLUMNS[collection]), partial(cells_of, collection)
        if question is not None or (collection is Collection.CERTIFICATES and is_corpus(opening[0])):
            corpus = open_corpus(*opening, read_only=True)
            await stack.enter_async_context(reading(corpus))
            if question is not None:
                return ask(question, corpus, where), question.titles, question.cells
            return certificates(corpus, where), titles, cells
        store = await stack.enter_async_context(reading(open_to_show(*opening)))
        return documents(store, collection, where), titles, cells

    async def main(_: Life) -> int:
        async with AsyncExitStack() as stack:
            found, titles, cells = await opened(stack)
            if settings.json_:
                async for document in found:
                    sys.stdout.buffer.write(orjson.dumps(shown(document), option=orjson.OPT_APPEND_NEWLINE))
                return 0

            async def rows() -> AsyncIterator[Sequence[str]]:
                async for document in found:
                    yield cells(document)

            count = await show(titles, rows())
            if settings.limit and count == settings.limit:
                sys.stderr.write(f"longline query: the first {settings.limit}; --limit 0 shows all\n")
        return 0

    return launch(main)
