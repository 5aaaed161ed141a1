"""`longline campaign`: measurements that never end: run, paused, looked at; and scans for the fleet."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

#: Of these the options are offered. What a campaign measures stands in its file.
SECTIONS = ("campaign", "fleet", "store", "bus", "metrics")

ACTIONS: Final = {
    "run": "do the campaigns of these FILES.toml, until told to stop",
    "list": "the campaigns that were ever run here",
    "status": "where campaigns stand, and how far the fleet's scans are",
    "pause": "nothing of the campaign NAME runs any more, in whichever process",
    "resume": "the campaign NAME goes on",
    "submit": "give a scan (FILE.toml, as longline scan --echo writes it, or nmap's command lines) to the agents",
    "stop": "no agent goes on with the scan NAME",
}

#: Actions that look at everything.
_OF_ALL: Final = ("list", "status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("what", metavar="FILE|NAME", nargs="*", help="run, submit: files; pause, resume, stop: a name")
    parser.add_argument("--reason", metavar="TEXT", default="by hand", help="stop: why, for the record")
    parser.add_argument("--once", action="store_true", help="run: do what is due, and end")
    parser.add_argument("--json", action="store_true", help="status, list: one JSON object a line")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    of_all, one = args.action in _OF_ALL, args.what[0] if args.what else None
    if of_all and one is not None:
        raise UsageError("FILE|NAME", one, f"{args.action} is of all scans and campaigns")
    if not of_all and one is None:
        raise UsageError("FILE|NAME", None, "which one")
    if args.action != "run" and len(args.what) > 1:
        raise UsageError("FILE|NAME", args.what[1], "one at a time")
    if args.action in ("run", "submit"):
        for file in args.what:
            if not Path(file).is_file():
                raise UsageError("FILE", file, "no such file")
    if args.action == "run":
        from stages.cli import campaigning

        return campaigning.run(args, args.what)
    from stages.campaign.settings import CampaignSettings
    from stages.fleet.settings import FleetSettings

    loaded = load_settings(args, *SECTIONS, own_file=True)
    state, journal = loaded.get("fleet", FleetSettings).state, loaded.get("campaign", CampaignSettings).journal
    if of_all:
        from stages.cli import campaigns

        return campaigns.status(state, journal, as_json=args.json, every=args.action == "list")
    if args.action in ("pause", "resume"):
        _pause(journal, str(one), args.action == "pause")
    else:
        _fleet(state, args.action, str(one), args.reason)
    return 0


def _pause(file: str, name: str, pause: bool) -> None:
    from stages.campaign.journal import Journal

    with closing(Journal(file, make=False)) as journal:
        if not journal.pause(name, time.time() if pause else None):
            sys.stderr.write(f"longline campaign: {name} {'is paused already' if pause else 'was not paused'}\n")


def _fleet(file: str, action: str, what: str, reason: str) -> None:
    from stages.cli.submitting import submit, works
    from stages.fleet.state import State

    with closing(State(file, make=action == "submit")) as state:
        if action == "submit":
            for work in submit(state, what):
                sys.stdout.write(f"{work.scan}: {work.size:,} targets\n")
            return
        if what not in works(state):
            raise UsageError("NAME", what, "no such scan")
        state.ask("stop", {"scan": what, "reason": reason})
