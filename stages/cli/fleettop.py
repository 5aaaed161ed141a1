"""`longline fleet top`: dnmap's table of clients, from the coordinator's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stages.core.times import rfc3339

if TYPE_CHECKING:
    from rich.console import Group

    from stages.fleet.state import State

#: column -> its heading.
COLUMNS: Final = {
    "alias": "Alias",
    "status": "Status",
    "version": "Version",
    "engine": "Engine",
    "privileged": "Root",
    "grabs": "Grabs",
    "slices": "Slices",
    "per_minute": "A minute",
    "rate": "Probes/s",
    "sent": "Probes",
    "hits": "Hits",
    "hit_rate": "Hit rate",
    "pending": "Pending",
    "first_seen": "First seen",
    "last_seen": "Last seen",
    "last_data": "Last data",
    "uptime": "Up",
    "why": "Set aside",
}


def look(state: State, now: float, sort: str) -> dict[str, Any]:
    """All that the table shows. Blocks."""
    from stages.fleet.ledger import Ledger

    ledger = Ledger(timeout=60.0)
    ledger.restore(state.things("jobs", "parts", "leases", "agents", "done", "meta"))
    agents: list[dict[str, Any]] = []
    for agent in ledger.agents.values():
        up = max(now - agent.started, 1.0)
        agents.append(
            {
                "alias": agent.alias,
                "status": ledger.status(agent, now),
                "version": agent.version,
                "engine": agent.engine,
                "privileged": agent.privileged,
                "grabs": ",".join(agent.grabs),
                "slices": agent.slices,
                "per_minute": round(agent.slices / (max(now - agent.first_seen, 1.0) / 60), 2),
                "rate": agent.rate,
                "sent": agent.sent,
                "hits": agent.hits,
                "hit_rate": round(agent.hits / agent.sent, 6) if agent.sent else 0.0,
                "pending": agent.pending,
                "first_seen": agent.first_seen,
                "last_seen": agent.last_seen,
                "last_data": agent.last_data,
                "uptime": round(up),
                "why": agent.why if agent.aside > now else "",
            }
        )
    agents.sort(key=lambda row: row[sort])
    scans = []
    for job in ledger.jobs.values():
        scan = job.work.scan
        done = ledger.reached(scan)
        held = (h for h in ledger.leases.values() if h.scan == scan and not h.check)
        rate = sum(h.speed for h in held)
        seen = job.coverage()
        scans.append(
            {
                "scan": scan,
                "state": "stopped" if job.stopped else "complete" if job.ended else "under way",
                "elapsed": round((job.ended or now) - job.submitted),
                "targets": job.work.size,
                "done": done,
                "twice": seen.twice,
                "hits": job.hits,
                "eta": None if job.ended or not rate else round((job.work.size - done) / rate),
                "waits_for": ledger.waits_for(scan, now),
            }
        )
    words = ("online", "executing", "storing", "offline")
    return {
        "at": rfc3339(int(now * 1e6)),
        "agents": {word: sum(agent["status"] == word for agent in agents) for word in words},
        "table": agents,
        "scans": scans,
    }


def table(seen: dict[str, Any]) -> Group:
    """It, as rich prints it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    scans = Table(
        "Scan", "State", "Elapsed", "Targets", "Done", "Twice", "Hits", "ETA", "Waits for", box=None, pad_edge=False
    )
    for scan in seen["scans"]:
        share = f"{100 * scan['done'] / scan['targets']:.1f} %"
        eta = "" if scan["eta"] is None else _span(scan["eta"])
        scans.add_row(
            scan["scan"], scan["state"], _span(scan["elapsed"]), f"{scan['targets']:,}", share, f"{scan['twice']:,}",
            f"{scan['hits']:,}", eta, scan["waits_for"],
        )  # fmt: skip
    agents = Table(*COLUMNS.values(), box=None, pad_edge=False)
    for row in seen["table"]:
        agents.add_row(*(_cell(name, row[name]) for name in COLUMNS))
    words = ", ".join(f"{number} {word}" for word, number in seen["agents"].items())
    return Group(Text(f"{seen['at']}  agents: {words}"), scans, agents)


def _cell(name: str, value: Any) -> str:
    if name in ("first_seen", "last_seen", "last_data"):
        return rfc3339(int(value * 1e6))[:19] if value else ""
    if name == "uptime":
        return _span(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _span(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
