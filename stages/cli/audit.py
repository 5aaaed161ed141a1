"""`longline audit show PREFIX`: who scanned a network: what, when, from where, under which approval."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.sink.survey import Survey

SECTIONS = ("store",)

ACTIONS: Final = {"show": "what was done with PREFIX, scan by scan"}

#: The list that is looked into unless another is named: `longline optout` keeps it.
OPTOUT: Final = "optout.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("prefix", metavar="PREFIX", help="address or network, such as 192.0.2.0/24")
    parser.add_argument("--optout", metavar="FILE", help=f"who wants to be left alone (default: {OPTOUT})")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    import orjson

    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.derive.audit import network_of
    from stages.sink.app import open_survey
    from stages.sink.query import reading
    from stages.sink.settings import SinkSettings
    from stages.sink.store import network_range

    edges = network_range(args.prefix, "PREFIX")
    optouts = _optouts(args.optout)
    set_up(os.environ, default="warning")

    async def main(_: Life) -> int:
        survey = open_survey(loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings))
        async with reading(survey):
            answer = await _answer(survey, args.prefix, network_of(*edges), edges, optouts)
        if args.json:
            sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
        else:
            _print(answer, args.optout or OPTOUT)
        return 0

    return launch(main)


def _optouts(file: str | None) -> list[dict[str, Any]] | None:
    """The entries of the list; None: there is none where one may be. Raises UsageError."""
    from dataclasses import asdict

    from stages.fleet.optout import read

    path = Path(file or OPTOUT)
    if file is None and not path.exists():
        return None
    try:
        return [asdict(entry) for entry in read(path.read_text(encoding="utf-8"), str(path))]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("--optout", str(path), str(error)) from None


async def _answer(
    survey: Survey, prefix: str, network: Any, edges: tuple[bytes, bytes], optouts: list[dict[str, Any]] | None
) -> dict[str, Any]:
    from stages.derive.audit import overlapping, report
    from stages.sink.store import Collection, Filter

    traces = await survey.traces(edges)
    scans = survey.find(Collection.SCANS, Filter())
    return {
        "prefix": prefix,
        "optout": None if optouts is None else overlapping(network, optouts),
        "erased": overlapping(network, [erasure.shown() for erasure in await survey.erasures()]),
        "scans": [row async for row in report(network, scans, traces)],
    }


def _print(answer: dict[str, Any], file: str) -> None:
    """For who answers a mail. What a record says is printed as data: no control character reaches the terminal."""
    from stages.cli.tables import plain
    from stages.derive.audit import lines

    def say(what: str, said: str, indent: str = "  ") -> None:
        text = f"{what:<10}{said}".rstrip()
        sys.stdout.write(f"{indent}{plain(text)}\n")

    say(answer["prefix"], "", "")
    if answer["optout"] is None:
        say("opted out", f"not known: there is no {file}")
    elif not answer["optout"]:
        say("opted out", "no")
    for one in answer["optout"] or ():
        say("opted out", f"{one['network']} {one['date']} {one['source']}: {one['reason']}")
    if not answer["erased"]:
        say("erased", "no")
    for one in answer["erased"]:
        of = f"{one['observations']:,} observations, {one['services']:,} services"
        ended = "" if one["ended"] else " (interrupted)"
        say("erased", f"{one['network']} {one['at']}{ended}: {of}" + (f": {one['reason']}" if one["reason"] else ""))
    if not answer["scans"]:
        say("scans", "none that is recorded in this store")
    for row in answer["scans"]:
        say(f"scan {row['scan']}", "", "\n")
        for what, said in lines(row):
            say(what, said)
