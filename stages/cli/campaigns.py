"""Where campaigns stand, and how far the fleet's scans are: `longline campaign status|list`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from stages.campaign.journal import CampaignRow, Journal, SweepRow
from stages.campaign.mind import Mind
from stages.campaign.plan import Campaign, read
from stages.campaign.schedule import Entry, Past, due
from stages.cli.tables import show_documents
from stages.core.errors import UsageError
from stages.core.times import rfc3339
from stages.sink.query import loss_of

#: Seconds of silence after which nobody runs a campaign: a conductor gives a sign of life each second.
ALIVE: Final = 15.0

_KEYS: Final = ("campaign", "state", "running", "full", "next", "late", "known", "gone", "healthy", "missed")
_LIST: Final = ("campaign", "file", "begun", "last_run", "paused")
_SCANS: Final = ("scan", "state", "elapsed", "targets", "done", "twice", "hits", "eta", "waits_for")


def status(state: str, journal: str, *, as_json: bool, every: bool) -> int:
    """Print it; `every`: only the campaigns there are, one line each. Raises UsageError where there is neither."""
    there = Path(journal).is_file()
    scans = Path(state).is_file() and not every
    if not there and not scans:
        raise UsageError("--journal", journal, f"no such file, and no --state {state} of a fleet")
    tables: list[tuple[Sequence[dict[str, Any]], Sequence[str]]] = []
    if there:
        with closing(Journal(journal, make=False)) as kept:
            found = [listed(row) if every else standing(kept, row, time.time()) for row in kept.campaigns()]
        tables.append((found, _LIST if every else _KEYS))
    if scans:
        from stages.cli.fleettop import look
        from stages.fleet.state import State

        with closing(State(state, make=False)) as fleet:
            tables.append((look(fleet, time.time(), "alias")["scans"], _SCANS))
    for n, (rows, keys) in enumerate(tables):
        if n and not as_json:
            sys.stdout.write("\n")
        asyncio.run(show_documents(rows, keys, json=as_json))
    return 0


def listed(row: CampaignRow) -> dict[str, Any]:
    return {
        "campaign": row.name, "file": row.file, "begun": _time(row.begun), "last_run": _time(row.seen),
        "paused": None if row.paused is None else _time(row.paused),
    }  # fmt: skip


def standing(journal: Journal, row: CampaignRow, now: float) -> dict[str, Any]:
    """One campaign as it stands now."""
    campaign: Campaign = read(row.file, row.text.encode())
    plan = campaign.plan
    entry, pasts = Entry(plan, row.begun, row.paused is not None), journal.pasts([row.name])
    alive = now - row.seen < ALIVE
    running = [f"{lane.kind} {lane.vantage}" for lane in journal.running(row.name) if alive]
    stands = [due(entry, lane, pasts.get(lane, Past()), now) for lane in entry.lanes()]
    new = [each.turn.due for each in stands if each.turn is not None and not each.turn.resumes]
    counts = [Mind(journal.file, plan, vantage).count() for vantage in plan.vantages]
    sweeps = journal.newest(row.name)
    full = journal.last_full(row.name)
    ordered = alive and row.ordered and not running
    state = "paused" if entry.paused else "not run" if not alive else "stopped by order" if ordered else "waiting"
    state = "running" if running and state == "waiting" else state
    if state == "waiting" and not plan.opening.open(now):
        state = "closed"
    return {
        "campaign": row.name, "state": state, "running": ", ".join(running),
        "full": None if full is None else f"{full.number} of {_time(full.body['started'])}",
        "next": _time(max(now, min(each.next for each in stands))),
        "late": round(now - min(new, default=now), 1),
        "known": sum(count[0] for count in counts), "gone": sum(count[1] for count in counts),
        "healthy": None if full is None else full.body.get("healthy"),
        "missed": None if full is None else loss_of(full.body["counters"]) or None,
        "sweeps": [_sweep(sweep) for sweep in sweeps],
    }  # fmt: skip


def _sweep(row: SweepRow) -> dict[str, Any]:
    return {
        "kind": row.lane.kind, "vantage": row.lane.vantage, "number": row.number, "due": _time(row.due),
        "windows_missed": row.missed, "state": row.state, **row.body,
    }  # fmt: skip


def _time(at: float) -> str:
    return rfc3339(round(at) * 1_000_000)[:19] + "Z"
