"""`longline campaign`: scans for the fleet: submitted, stopped, looked at."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from stages.cli import spec
from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.fleet.state import State
    from stages.fleet.work import Work

SECTIONS = ("fleet",)

ACTIONS: Final = {
    "submit": "give the scan of FILE (longline scan --echo writes one) to the agents",
    "stop": "no agent goes on with the scan NAME",
    "status": "how far the scans are, and what was done twice",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("what", metavar="FILE|NAME", nargs="?", help="submit: a file; stop: a scan")
    parser.add_argument("--reason", metavar="TEXT", default="by hand", help="stop: why, for the record")
    parser.add_argument("--json", action="store_true", help="status: one JSON object a line")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    from stages.fleet.settings import FleetSettings
    from stages.fleet.state import State

    if (args.what is None) != (args.action == "status"):
        raise UsageError("FILE|NAME", args.what, "which one" if args.what is None else "status is of all scans")
    settings = load_settings(args, *SECTIONS).get("fleet", FleetSettings)
    if args.action == "submit" and not Path(args.what).is_file():
        raise UsageError("FILE", args.what, "no such file")
    state = State(settings.state, make=args.action == "submit")
    try:
        if args.action == "submit":
            work = submit(state, args.what)
            sys.stdout.write(f"{work.scan}: {work.size:,} targets\n")
        elif args.action == "stop":
            if args.what not in works(state):
                raise UsageError("NAME", args.what, "no such scan")
            state.ask("stop", {"scan": args.what, "reason": args.reason})
        else:
            _status(state, as_json=args.json)
    finally:
        state.close()
    return 0


def works(state: State) -> dict[str, Work]:
    """The scans that a coordinator knows, or was asked for, by name. Blocks."""
    from stages.fleet.work import Work

    kept = [change.body["work"] for change in state.things("jobs") if change.body is not None]
    asked = [body for what, body in state.waiting() if what == "submit"]
    found = [Work.model_validate_json(orjson.dumps(body)) for body in (*kept, *asked)]
    return {work.scan: work for work in found}


def submit(state: State, file: str) -> Work:
    """Ask the coordinator for the scan of a file. The same file again is the same scan. Blocks. Raises UsageError that
    names the place."""
    from stages.cli.sections import SECTIONS as ALL
    from stages.cli.slices import work_of
    from stages.core.settings import ListSettings, load
    from stages.scanner.settings import ScannerSettings

    loaded = load(ALL, argv=spec.read(file), environ=os.environ, file=None)
    settings = loaded.get("scanner", ScannerSettings)
    known = works(state).get(settings.scan or "")
    if known is not None and settings.seed is None:
        settings = settings.model_copy(update={"seed": known.seed})
    work = work_of(settings, loaded.get("lists", ListSettings))
    if known is not None and known != work:
        raise UsageError(file, work.scan, "a scan of this name exists, and is another one")
    if known is None:
        state.ask("submit", work.model_dump(mode="json"))
    return work


def _status(state: State, *, as_json: bool) -> None:
    from stages.cli.fleettop import look
    from stages.cli.tables import show_documents

    rows = look(state, time.time(), "alias")["scans"]
    keys = ("scan", "state", "elapsed", "targets", "done", "twice", "hits", "eta")
    asyncio.run(show_documents(rows, keys, json=as_json))
