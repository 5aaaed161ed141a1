"""`longline query stats`: services by port, TLS version, issuer or prefix, scan by scan or day by day."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from stages.core.errors import UsageError
from stages.core.options import given
from stages.derive.settings import StatsSettings
from stages.sink.settings import QuerySettings

if TYPE_CHECKING:
    from stages.core.settings import Loaded
    from stages.sink.survey import Survey

#: What it is asked under.
STATS: Final = "stats"

#: Filters of `longline query` that mean something here.
_APPLIES: Final = frozenset({"scan", "since", "limit", "json_"})

#: Characters of a value above its column.
_TITLE: Final = 32

_UNKNOWN: Final = "unknown"


def refused_elsewhere(args: argparse.Namespace) -> None:
    """Raises UsageError for its options with another question."""
    for name in given(args, StatsSettings):
        option = StatsSettings.option(name).flags[0]
        raise UsageError(option, None, f"means nothing for {args.collection}; it is asked of {STATS}")


def run(args: argparse.Namespace, loaded: Loaded) -> int:
    import os
    import sys
    import time

    from stages.cli.rowsout import RowsOut
    from stages.cli.tables import plain
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import StoreSettings
    from stages.derive.adoption import adoption
    from stages.derive.prefixes import Prefixes
    from stages.sink.app import open_survey
    from stages.sink.query import reading, time_of
    from stages.sink.retention import since
    from stages.sink.settings import SinkSettings
    from stages.sink.survey import MAX_SCANS, By

    query, settings = loaded.get("query", QuerySettings), loaded.get("stats", StatsSettings)
    for name in given(args, QuerySettings):
        if name not in _APPLIES:
            raise UsageError(QuerySettings.option(name).flags[0], None, f"means nothing for {STATS}")
    if settings.by is None:
        raise UsageError("--by", None, "by what? port, version, issuer or prefix")
    begin = None if query.since is None else since(query.since, int(time.time() * 1e6))
    prefixes, days = Prefixes(settings.prefix_length, settings.prefix_length6), settings.over == "days"
    by = By.ADDRESS if settings.by == "prefix" else By(settings.by)
    label: Callable[[Any], str | None] = prefixes.of if by is By.ADDRESS else _text
    set_up(os.environ, default="warning")

    async def main(_: Life) -> int:
        survey = open_survey(loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings))
        async with reading(survey):
            scans = await scans_of(survey, query.scan, None if days else begin)
            cut = 0 if days else max(0, len(scans) - query.limit) if query.limit else 0
            scans = dict(list(scans.items())[cut:])
            if len(scans) > MAX_SCANS:
                raise UsageError("--scan", query.scan, f"{len(scans)} scans, at most {MAX_SCANS} side by side")
            found = await adoption(survey.tallies(by, list(scans), days=days, since=begin), settings.top, label)
        groups: dict[Any, int] = {day: day for day in sorted(found.totals)} if days else dict(scans)
        if days and query.limit:
            cut = max(0, len(groups) - query.limit)
            groups = dict(list(groups.items())[cut:])

        async def rows() -> AsyncIterator[tuple[dict[str, Any], list[str]]]:
            for group, at in groups.items():
                named = {"day": time_of(at)[:10]} if days else {"scan": group, "start": time_of(at)}
                total = str(found.totals[group])
                yield {**named, **found.row(group)}, [*named.values(), total, *found.cells(group)]

        titles = [_UNKNOWN if value is None else plain(value)[:_TITLE] for value in found.values]
        titles += [f"{found.hidden} others"] if found.hidden else []
        await RowsOut(query.json_, 0).show([*(["day"] if days else ["scan", "start"]), "services", *titles], rows())
        if cut:
            sys.stderr.write(f"longline query: the newest {query.limit}; --limit 0 shows all\n")
        return 0

    return launch(main)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


async def scans_of(survey: Survey, glob: str | None, begin: int | None) -> dict[str, int]:
    """Scan -> when it began, the oldest first. One without a record began with the first of its observations."""
    from fnmatch import fnmatchcase

    from stages.derive.asked import is_scan
    from stages.sink.store import OBSERVED, Collection, Filter

    found: dict[str, int] = {}
    async for scan in survey.find(Collection.SCANS, Filter()):
        if is_scan(scan):
            found[scan["_id"]] = scan["start"]["ts"] if "start" in scan else scan["first_seen"]
    for name in await survey.scans_seen():
        if name not in found:
            firsts = [d["ts"] for kind in OBSERVED async for d in survey.find(kind, Filter(scan=name, limit=1))]
            found[name] = min(firsts)
    return {
        name: at
        for name, at in sorted(found.items(), key=lambda item: (item[1], item[0]))
        if (glob is None or fnmatchcase(name, glob)) and (begin is None or at >= begin)
    }
