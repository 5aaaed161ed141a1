"""`longline optout requests|accept|refuse`: what was asked for in the form, until somebody has decided."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from stages.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stages.fleet.optout import Optout
    from stages.fleet.optout_pages import Filed

ACTIONS: Final = {
    "requests": "what was asked for in the form",
    "accept": "the networks of request N go into the list",
    "refuse": "they do not, and --reason is shown to who asked",
}

#: What the list says of how it came.
SOURCE: Final = "form"


def run(args: argparse.Namespace, put: Callable[[Sequence[Optout]], None]) -> int:
    """`put` adds to the list, durably, what is not in it yet."""
    from stages.fleet.desk import SqliteDesk

    if args.action == "requests":
        if args.what:
            raise UsageError("PREFIX|FILE", args.what[0], "requests is of all")
        with closing(SqliteDesk(args.requests, make=False)) as desk:
            return _list(desk.all(), as_json=args.json)
    numbers = list(dict.fromkeys(map(_number, args.what)))
    if not numbers:
        raise UsageError("N", None, "which: longline optout requests shows them")
    if args.action == "refuse" and args.reason is None:
        raise UsageError("--reason", None, "why: who asked reads it")
    reason = _reason(args.reason) if args.action == "refuse" else ""
    with closing(SqliteDesk(args.requests, make=False)) as desk:
        asked = [desk.request(number) for number in numbers]
        for one in asked:
            if one.state != "waiting":
                raise UsageError("N", one.number, f"is {one.state} already")
        if args.action == "accept":
            # First the list, then the word that it is there: killed between the two, the request waits still.
            put([entry for one in asked for entry in _entries(one)])
        state = "accepted" if args.action == "accept" else "refused"
        for one in asked:
            if not desk.decide(one.number, state, reason, time.time()):
                raise UsageError("N", one.number, "was decided by somebody else just now")
    sys.stderr.write(f"longline optout: {len(asked)} {state}\n")
    return 0


def _entries(one: Filed) -> list[Optout]:
    from stages.core.times import rfc3339
    from stages.fleet.optout import made

    why = f"request {one.number} of {one.account}" + (f": {one.reason}" if one.reason else "")
    return [made(network, rfc3339(int(one.at * 1e6))[:10], SOURCE, why) for network in one.networks]


def _number(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 19):
        raise UsageError("N", word, "not the number of a request")
    return int(word)


def _reason(text: str) -> str:
    from stages.fleet.optout import MAX_REASON

    if not text.strip() or len(text) > MAX_REASON or not text.isprintable():
        raise UsageError("--reason", text[:40], f"one line of at most {MAX_REASON} characters")
    return text.strip()


def _list(filed: Sequence[Filed], *, as_json: bool) -> int:
    import asyncio
    from dataclasses import asdict

    from stages.cli.tables import show_documents
    from stages.core.times import rfc3339

    rows = []
    for one in filed:
        row = asdict(one)
        for name in ("at", "decided"):
            row[name] = None if row[name] is None else rfc3339(int(row[name] * 1e6))
        if not as_json:
            row["networks"], row["wide"] = " ".join(one.networks), " ".join(one.wide)
        rows.append(row)
    columns = ("number", "state", "at", "account", "networks", "wide", "reason", "contact", "said")
    asyncio.run(show_documents(rows, columns, json=as_json))
    return 0
