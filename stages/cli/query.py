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
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AsyncExitStack
    from typing import Any

    import orjson

    from stages.cli.questions import ask, question_of
    from stages.cli.tables import show
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.sink.app import is_corpus, open_corpus, open_store
    from stages.sink.query import COLUMNS, cells_of, certificates, filter_of, reading, shown
    from stages.sink.settings import QuerySettings, SinkSettings
    from stages.sink.store import Collection

    settings = loaded.get("query", QuerySettings)
    collection = Collection(args.collection)
    question = question_of(settings, collection)
    where = filter_of(settings, collection, int(time.time() * 1e6))
    set_up(os.environ, default="warning")

    async def main(_: Life) -> int:
        opening = loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings)
        async with AsyncExitStack() as stack:
            documents: AsyncIterator[dict[str, Any]]
            if question is not None or (collection is Collection.CERTIFICATES and is_corpus(opening[0])):
                corpus = open_corpus(*opening, read_only=True)
                await stack.enter_async_context(reading(corpus))
                documents = certificates(corpus, where) if question is None else ask(question, corpus, where)
            else:
                store = await stack.enter_async_context(reading(open_store(*opening, read_only=True)))
                documents = store.find(collection, where)
            if settings.json_:
                async for document in documents:
                    sys.stdout.buffer.write(orjson.dumps(shown(document), option=orjson.OPT_APPEND_NEWLINE))
                return 0

            async def rows() -> AsyncIterator[Sequence[str]]:
                async for document in documents:
                    yield question.cells(document) if question is not None else cells_of(collection, document)

            count = await show(question.titles if question is not None else list(COLUMNS[collection]), rows())
            if settings.limit and count == settings.limit:
                sys.stderr.write(f"longline query: the first {settings.limit}; --limit 0 shows all\n")
        return 0

    return launch(main)
