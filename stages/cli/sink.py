"""`longline sink`: store what the other stages publish; make and trim what it is stored in."""

from __future__ import annotations

import argparse
import sys

from stages.cli.sections import add_settings, load_settings

SECTIONS = ("sink", "store", "bus", "runner", "metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    from stages.cli.assembly import run_stage, sink_runner
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.sink.app import init, purge
    from stages.sink.settings import SinkSettings

    settings = loaded.get("sink", SinkSettings)
    store = loaded.get("store", StoreSettings)
    set_up(os.environ)

    async def main(life: Life) -> int:
        if settings.init:
            for line in await init(store, settings):
                sys.stdout.write(line + "\n")
            return 0
        if settings.purge:
            sys.stdout.write(f"{await purge(store, settings)} observations removed\n")
            return 0
        return await run_stage(life, loaded, lambda _, metrics: sink_runner(loaded, metrics), "sink", sends=False)

    return launch(main)
