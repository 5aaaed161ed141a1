"""`longline campaign`: scans for the fleet: submitted, stopped, looked at."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from stages.cli import asked, spec
from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.fleet.state import State
    from stages.fleet.work import Work

SECTIONS = ("fleet",)

ACTIONS: Final = {
    "submit": "give a scan (FILE.toml, as longline scan --echo writes it, or nmap's command lines) to the agents",
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
    with closing(State(settings.state, make=args.action == "submit")) as state:
        if args.action == "submit":
            for work in submit(state, args.what):
                sys.stdout.write(f"{work.scan}: {work.size:,} targets\n")
        elif args.action == "stop":
            if args.what not in works(state):
                raise UsageError("NAME", args.what, "no such scan")
            state.ask("stop", {"scan": args.what, "reason": args.reason})
        else:
            _status(state, as_json=args.json)
    return 0


def works(state: State) -> dict[str, Work]:
    """The scans that a coordinator knows, or was asked for, by name. Blocks."""
    from stages.fleet.work import Work

    kept = [change.body["work"] for change in state.things("jobs") if change.body is not None]
    asked = [body for what, body in state.waiting() if what == "submit"]
    found = [Work.model_validate_json(orjson.dumps(body)) for body in (*kept, *asked)]
    return {work.scan: work for work in found}


def submit(state: State, file: str) -> list[Work]:
    """Ask the coordinator for the scans of a file: one of a `*.toml`, else one of each command line of nmap. The same
    file again is the same scans. Blocks. Raises UsageError that names the place; of command lines those that are none
    are named, and the others submitted."""
    if file.endswith(".toml"):
        return [_submit(state, file, spec.read(file, *asked.SECTIONS))]
    return list(_of_lines(state, file))


def _of_lines(state: State, file: str) -> Iterator[Work]:
    from stages.fleet import nmap_lines

    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("FILE", file, str(error)) from None
    refused = 0
    for number, line in nmap_lines.read(text):
        place = f"{file}:{number}"
        try:
            yield _submit(state, place, nmap_lines.parse(line).sections(f"{Path(file).stem}-{number}"))
        except (nmap_lines.Refused, UsageError) as error:
            refused += 1
            sys.stderr.write(f"longline campaign: {place}: {error}\n")
    if refused:
        raise UsageError(file, None, f"{refused} lines are refused; the others are submitted")


def _submit(state: State, place: str, values: Mapping[str, Mapping[str, object]]) -> Work:
    from stages.cli.sections import SECTIONS as ALL
    from stages.cli.slices import work_of
    from stages.core.settings import ListSettings, load
    from stages.scanner.settings import ScannerSettings

    loaded = load(ALL, argv=values, environ=os.environ, file=None)
    settings = loaded.get("scanner", ScannerSettings)
    known = works(state).get(settings.scan or "")
    if known is not None and settings.seed is None:
        settings = settings.model_copy(update={"seed": known.seed})
    work = work_of(settings, loaded.get("lists", ListSettings), *asked.grabs_of(loaded, values.keys()))
    if known is not None and known != work.model_copy(update={"operator": known.operator}):
        raise UsageError(place, work.scan, "a scan of this name exists, and is another one")
    if known is None:
        state.ask("submit", work.model_dump(mode="json"))
    return known or work


def _status(state: State, *, as_json: bool) -> None:
    from stages.cli.fleettop import look
    from stages.cli.tables import show_documents

    rows = look(state, time.time(), "alias")["scans"]
    keys = ("scan", "state", "elapsed", "targets", "done", "twice", "hits", "eta", "waits_for")
    asyncio.run(show_documents(rows, keys, json=as_json))
