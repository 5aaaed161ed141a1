"""`longline erase`: remove what was seen at the addresses of a network, and keep a record of it."""

from __future__ import annotations

import argparse

from stages.cli.sections import add_settings, load_settings

SECTIONS = ("erase", "store", "campaign")

#: Of campaigns only where they keep in mind what they know.
OMIT = ("folder",)

#: The argument, as errors name it.
NETWORK = "NETWORK"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar=NETWORK, nargs="*", help="address or network, such as 192.0.2.0/24")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os
    import time

    from stages.campaign.settings import CampaignSettings
    from stages.cli.tables import show_documents
    from stages.core.errors import UsageError
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.sink.app import open_store
    from stages.sink.erasure import Erasure
    from stages.sink.query import reading
    from stages.sink.settings import EraseSettings, SinkSettings
    from stages.sink.store import network_range

    settings = loaded.get("erase", EraseSettings)
    if bool(args.network) == settings.list_:
        problem = "--list goes without networks" if settings.list_ else "which network? (or --list)"
        raise UsageError(NETWORK, " ".join(args.network) or None, problem)
    networks = [(text, network_range(text, NETWORK)) for text in args.network]
    journal = loaded.get("campaign", CampaignSettings).journal
    opening = loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings)
    set_up(os.environ, default="warning")

    async def main(_: Life) -> int:
        read_only = settings.list_ or settings.dry_run
        async with reading(open_store(*opening, read_only=True)):
            pass  # it is there: one that is not must not be made
        async with reading(open_store(*opening, read_only=read_only)) as opened:
            if settings.list_:
                done = await opened.erasures()
            else:
                done = []
                for text, network in networks:
                    erasure = Erasure(text, int(time.time() * 1e6), settings.reason)
                    await opened.erase(erasure, network, time.time, dry=settings.dry_run)
                    done.append(erasure)
                    forget(journal, network, dry=settings.dry_run)
        await show_documents([erasure.shown() for erasure in done], list(Erasure("", 0).shown()), json=settings.json_)
        return 0

    return launch(main)


def forget(file: str, network: tuple[bytes, bytes], *, dry: bool) -> None:
    """What campaigns keep in mind of a network, if there is such a file. Blocks."""
    import sys
    from contextlib import closing
    from pathlib import Path

    from stages.campaign.journal import Journal
    from stages.sink.documents import address_of
    from stages.sink.store import ranges

    if not Path(file).is_file():
        return
    parts = ranges(network)

    def within(ip: str) -> bool:
        address = address_of(ip)[1]
        return any(first <= address <= last for first, last in parts)

    with closing(Journal(file, make=False)) as journal:
        count = journal.forget(within, dry=dry)
    if count:
        verb = "would forget" if dry else "forgets"
        sys.stderr.write(f"longline erase: {file} {verb} {count} services there\n")
