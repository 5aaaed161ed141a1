"""`longline optout`: who wants to be left alone, with the record of it."""

from __future__ import annotations

import argparse
import datetime as dt
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stages.cli import optout_requests
from stages.cli.sections import add_settings, load_settings
from stages.core.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.core.orders import Verb
    from stages.core.settings import BusSettings
    from stages.fleet.optout import Optout

SECTIONS: Final = ("bus",)

#: Of the log only where it is, and what its topics are called.
OMIT: Final = ("from_", "to", "group", "member", "dead", "batch_lines", "max_log_bytes")

ACTIONS: Final = {
    "add": "leave PREFIX alone from now on",
    "remove": "PREFIX may be met again",
    "list": "all of them",
    "import": "add each line of a FILE",
    **optout_requests.ACTIONS,
}

#: Of an entry that is added without one.
REASON: Final = "the owner asked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("what", metavar="PREFIX|FILE|N", nargs="*", help="networks, addresses, ranges; import: files")
    parser.add_argument("--file", metavar="FILE", default="optout.txt", help="the list: name it as -b of what sends")
    parser.add_argument("--reason", metavar="TEXT", help=f"why, for the record (default: {REASON})")
    parser.add_argument("--source", metavar="WORD", default="mail", help="how it came: mail, form, phone")
    parser.add_argument(
        "--requests", metavar="FILE", default="notice.db", help="what longline notice keeps of its form"
    )
    parser.add_argument("--json", action="store_true", help="list, requests: one JSON object a line")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    from stages.core.settings import BusSettings
    from stages.fleet.optout import made, read

    bus = load_settings(args, *SECTIONS).get("bus", BusSettings)
    file = Path(args.file)

    def put(new: Sequence[Optout]) -> None:
        _put(file, new)
        _tell(bus, new, "optout")

    if args.action in optout_requests.ACTIONS:
        return optout_requests.run(args, put)
    reason = REASON if args.reason is None else args.reason
    if (args.action == "list") == bool(args.what):
        raise UsageError("PREFIX|FILE", None, "which" if not args.what else "list is of all")
    if args.action == "list":
        return _list(_entries(file), as_json=args.json)
    date = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    if args.action == "import":
        theirs = [entry for file_ in args.what for entry in read(_text(file_), file_)]
        new = [made(entry.network, date, args.source, entry.reason or reason) for entry in theirs]
    else:
        new = [made(network, date, args.source, reason) for network in args.what]
    if args.action != "remove":
        put(new)
        return 0
    with _changing(file) as entries:
        known = {entry.network for entry in entries}
        if missing := [network for network in args.what if network not in known]:
            raise UsageError("PREFIX", missing[0], f"is not in {file}")
        _tell(bus, new, "remove")  # before it is gone from the file, or it could not be tried again
        entries[:] = [entry for entry in entries if entry.network not in args.what]
    return 0


def _tell(bus: BusSettings, entries: Sequence[Optout], verb: Verb) -> None:
    """Everybody who reads or writes the log, if one is named. What is in the file is told again too: it may not have
    come through."""
    import asyncio
    import time

    from stages.cli import ordering
    from stages.core.orders import made
    from stages.core.settings import PIPE

    if bus.url == PIPE:
        return
    by, now = ordering.who(), int(time.time())
    orders = [made(verb, "prefix", e.network, reason=e.reason, by=by, at=now) for e in entries]
    asyncio.run(ordering.publish(bus.url, bus, orders))
    sys.stderr.write(f"longline optout: {len(orders)} told to {bus.url}\n")


def _put(file: Path, new: Sequence[Optout]) -> None:
    """What is not in the list yet, is."""
    with _changing(file) as entries:
        known = {entry.network for entry in entries}
        entries += [entry for entry in new if entry.network not in known]


def _list(entries: list[Optout], *, as_json: bool) -> int:
    import asyncio
    from dataclasses import asdict

    from stages.cli.tables import show_documents

    asyncio.run(
        show_documents([asdict(entry) for entry in entries], ("network", "date", "source", "reason"), json=as_json)
    )
    return 0


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("FILE", file, str(error)) from None


def _entries(file: Path) -> list[Optout]:
    from stages.fleet.optout import read

    return list(read(_text(str(file)), str(file))) if file.exists() else []


@contextmanager
def _changing(file: Path) -> Iterator[list[Optout]]:
    """Its entries, to be changed: written whole or not at all, by one of us at a time. Raises UsageError, HostError."""
    from stages.core import files
    from stages.fleet.optout import text

    try:
        with open(file.with_name(f"{file.name}.lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = _entries(file)
            yield entries
            files.replace(file, text(entries).encode(), files.SHARED)
    except OSError as error:
        raise HostError(f"{file} cannot be written: {error.strerror}") from None
    sys.stderr.write(f"longline optout: {len(entries)} in {file}\n")
