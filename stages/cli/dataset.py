"""`longline dataset`: what is stored as files with a manifest, and whether such files are whole."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stages.cli.sections import READING, add_settings, load_settings

if TYPE_CHECKING:
    from stages.core.lifecycle import Life

SECTIONS = ("query", "dataset", "store")

#: Options of `query` that mean nothing here: what is written is whole, and of several collections.
OMIT = ("json_", "limit", "key_shared", "moved", "issuer", "expiring", "new_since", "name", "outcome")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("write", "check"), help="make one, or look whether one is whole")
    parser.add_argument("dir", metavar="DIR", help="its folder")
    names = ", ".join(READING)
    parser.add_argument("collections", metavar="COLLECTION", nargs="*", help=f"which: {names}; default: all")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    folder = Path(args.dir)
    return _check(folder) if args.action == "check" else _write(args, folder)


def _check(folder: Path) -> int:
    """0: it is whole; 1: it is not, and how."""
    from stages.sink import dataset

    wrong = dataset.check(folder)
    for line in wrong:
        sys.stderr.write(f"longline dataset: {line}\n")
    if not wrong:
        sys.stdout.write(f"{folder} is whole\n")
    return 1 if wrong else 0


def _write(args: argparse.Namespace, folder: Path) -> int:
    import os
    import time

    from stages.core.errors import UsageError
    from stages.core.lifecycle import launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings, masked
    from stages.core.times import rfc3339
    from stages.sink import arrow, dataset
    from stages.sink.app import open_to_show
    from stages.sink.query import filter_of, reading
    from stages.sink.settings import DatasetSettings, QuerySettings, SinkSettings
    from stages.sink.store import APPLIES, Collection

    loaded = load_settings(args, *SECTIONS)
    set_up(os.environ, default="warning")
    now = time.time_ns() // 1_000
    settings, place = loaded.get("dataset", DatasetSettings), loaded.get("store", StoreSettings)
    query = loaded.get("query", QuerySettings).model_copy(update={"limit": 0})
    given = {"network": query.ip, "port": query.port, "scan": query.scan, "since": query.since}
    chosen = {key: value for key, value in given.items() if value is not None}
    wanted = {}
    for name in args.collections or READING:
        if name not in READING:
            raise UsageError("COLLECTION", name, f"none of {', '.join(READING)}")
        collection = Collection(name)
        # A filter that means nothing for a collection would be refused there; of a whole dataset it chooses the rest.
        unmeant = {"ip" if key == "network" else key: None for key in chosen if key not in APPLIES[collection]}
        wanted[collection] = filter_of(query.model_copy(update=unmeant), collection, now)
    about = {"created": rfc3339(now), "store": str(masked(place.url)), "filters": chosen, "format": settings.format}

    async def main(_: Life) -> int:
        store = open_to_show(place, loaded.get("sink", SinkSettings))
        async with reading(store) as opened:
            files = await dataset.write(folder, opened, wanted, arrow.FORMS[settings.format], about=about)
        for file in files:
            sys.stdout.write(f"{file.name}: {file.rows} rows, {file.bytes} bytes\n")
        return 0

    return launch(main)
