"""`longline diff SCAN SCAN`: services that are new, gone or changed between two scans."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.derive.asked import Asked
    from stages.derive.diff import Change, Totals

SECTIONS = ("diff", "store")

#: Characters of a value that changed in a table: enough of a hash to find it again.
_VALUE: Final = 16

_TITLES: Final = ("how", "ip", "port", "transport", "name", "what changed")
_SUMS: Final = ("added", "gone", "changed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="SCAN", help="name of the earlier scan")
    parser.add_argument("after", metavar="SCAN", help="name of the later scan")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os
    import sys
    from collections.abc import AsyncIterator

    from stages.cli.rowsout import RowsOut
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.derive.diff import Difference, Sum, Totals, differences, fingerprint, summed
    from stages.derive.prefixes import Prefixes
    from stages.derive.settings import DiffSettings
    from stages.sink.app import open_survey
    from stages.sink.query import reading
    from stages.sink.settings import SinkSettings
    from stages.sink.store import network_range
    from stages.sink.survey import services

    settings = loaded.get("diff", DiffSettings)
    network = None if settings.ip is None else network_range(settings.ip)
    if args.before == args.after:
        raise UsageError("SCAN", args.after, "twice the same scan")
    prefixes = Prefixes(settings.prefix_length, settings.prefix_length6)
    set_up(os.environ, default="warning")

    async def main(_: Life) -> int:
        survey = open_survey(loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings))
        async with reading(survey):
            asked_before, asked_after = await _asked(survey, args.before), await _asked(survey, args.after)
            totals = Totals()
            old, new = (
                services(survey.in_order(name, network=network, port=settings.port))
                for name in (args.before, args.after)
            )
            found = differences(old, new, asked_before, asked_after, totals)
            out = RowsOut(settings.json_, settings.limit)
            by = settings.by
            if by is None:

                async def rows() -> AsyncIterator[tuple[dict[str, Any], list[str]]]:
                    row: Difference
                    async for row in found:
                        s = row.service
                        told = ", ".join(map(_told, row.changes))
                        yield row.shown(), [str(row.how), s.ip, str(s.port), s.transport, s.name, told]

                await out.show(_TITLES, rows())
            else:
                value = {
                    "prefix": lambda s: prefixes.of(s.address),
                    "port": lambda s: f"{s.port}/{s.transport}",
                    "fingerprint": fingerprint,
                }[by]

                async def sums() -> AsyncIterator[tuple[dict[str, Any], list[str]]]:
                    one: Sum
                    async for one in summed(found, value, in_order=by == "prefix"):
                        counts = {key: getattr(one, key) for key in _SUMS}
                        yield {by: one.value, **counts}, [one.value, *map(str, counts.values())]

                await out.show((by, *_SUMS), sums())
            sys.stderr.write(_summary(args.before, args.after, totals))
            if out.cut:
                sys.stderr.write(f"longline diff: the first {settings.limit} of {out.count}; --limit 0 shows all\n")
        return 0

    return launch(main)


async def _asked(survey: Any, name: str) -> Asked:
    """What a scan asked. What its record does not say is told. Raises UsageError for a scan that is not there."""
    import sys

    from stages.derive.asked import asked, is_scan, unfinished
    from stages.sink.store import Collection, Filter

    scans = [scan async for scan in survey.find(Collection.SCANS, Filter(scan=name))]
    if not scans and name not in await survey.scans_seen():
        raise UsageError("SCAN", name, "no such scan in this store (longline query scans lists them)")
    scan = scans[0] if scans else {}
    if not is_scan(scan) and name not in await survey.scans_seen():
        raise UsageError("SCAN", name, f"is a sweep of several scans: {name}-0 and so on")
    said = asked(scan, _transport_of)
    if why := unfinished(scan) if scans else "":
        sys.stderr.write(f"longline diff: scan {name}: {why}: what is missing may not have been asked\n")
    if said.networks is None:
        sys.stderr.write(f"longline diff: scan {name}: {said.why}: taken as if it had asked everywhere\n")
    elif not said.exact:
        sys.stderr.write(f"longline diff: scan {name}: {said.why}\n")
    return said


def _transport_of(probe: str) -> str | None:
    from stages.scanner.probes import entry

    try:
        return entry(probe).transport
    except ValueError:  # of a package that is not installed here
        return None


def _told(change: Change) -> str:
    return f"{change.what} {change.before[:_VALUE]} -> {change.after[:_VALUE]}"


def _summary(before: str, after: str, totals: Totals) -> str:
    text = (
        f"longline diff: {before} -> {after}: {totals.added} added, {totals.gone} gone, {totals.changed} changed,"
        f" {totals.same} the same"
    )
    if totals.not_asked_after:
        text += f"; {totals.not_asked_after} of {before} where {after} did not ask"
    if totals.not_asked_before:
        text += f"; {totals.not_asked_before} of {after} where {before} did not ask"
    return f"{text}\n"
