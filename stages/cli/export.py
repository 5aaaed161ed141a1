"""`longline export`: what is stored, as JSON Lines or CSV, whole."""

from __future__ import annotations

import argparse
import sys

from stages.cli.sections import READING, add_settings, load_settings

SECTIONS = ("query", "export", "store")

#: Options of `query` that mean nothing here: the form has an option of its own, and an export is whole documents.
OMIT = ("json_", "limit", "key_shared", "moved")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("collection", choices=READING, help="what to write")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os
    import time
    from contextlib import suppress
    from pathlib import Path

    from stages.core.errors import HostError, UsageError
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.sink.app import open_to_show
    from stages.sink.export import export
    from stages.sink.query import filter_of, reading
    from stages.sink.settings import ExportSettings, QuerySettings, SinkSettings
    from stages.sink.store import Collection

    settings = loaded.get("export", ExportSettings)
    collection = Collection(args.collection)
    query = loaded.get("query", QuerySettings).model_copy(update={"limit": 0})
    where = filter_of(query, collection, int(time.time() * 1e6))
    set_up(os.environ, default="warning")

    try:
        out = sys.stdout.buffer if settings.output == "-" else Path(settings.output).open("wb")  # noqa: SIM115
    except OSError as error:
        raise UsageError("-o/--output", settings.output, error.strerror or str(error)) from None

    def write(chunk: bytes, *, flush: bool = False) -> None:
        try:
            out.write(chunk)
            if flush:
                out.flush()
        except OSError as error:
            with suppress(OSError):
                out.close()  # what is left in its buffer cannot be written either
            raise HostError(f"{settings.output}: {error.strerror}") from None

    async def main(_: Life) -> int:
        store = open_to_show(loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings))
        async with reading(store) as opened:
            async for chunk in export(opened, collection, where, settings.format):
                write(chunk)
        write(b"", flush=True)
        return 0

    if out is sys.stdout.buffer:
        return launch(main)
    with out:
        return launch(main)
