"""Who scanned a network: out of the records of the scans, and what is stored of it. Pure.

A scan is told of when its targets overlap the network, when something of it is stored there, and when its record does
not say what its targets were. What a record does not say is not guessed. A refresh of a campaign is told of by the
scans that it is made of, not by what was made of them (`assessed`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from stages.core.netset import NetSet, Span, parse_entry
from stages.core.times import rfc3339
from stages.derive.asked import Asked, asked, is_scan, unfinished
from stages.derive.prefixes import number_of

Row = dict[str, Any]

#: What is stored, in words.
_KINDS: Final = {"hit": "hits", "banner": "banners", "tls": "TLS handshakes"}


class Trace(Protocol):
    """What is stored of the network: of one scan, kind, vantage and source (`stages.sink.survey.Trace`)."""

    @property
    def scan(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def vantage(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...


def network_of(first: bytes, last: bytes) -> NetSet:
    """A network by its first and last address, 16 bytes each."""
    version, low = number_of(first)
    return NetSet.of([Span(version, low, number_of(last)[1])])


def overlapping(network: NetSet, entries: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Those of the entries whose `network` (an address, network or range) meets this one."""
    found = []
    for entry in entries:
        span = parse_entry(entry["network"])
        if isinstance(span, Span) and network.intersect(NetSet.of([span])):
            found.append(dict(entry))
    return found


async def report(
    network: NetSet, scans: AsyncIterator[Mapping[str, Any]], traces: Sequence[Trace]
) -> AsyncIterator[Row]:
    """A row of each scan that has to do with the network; those without a record last."""
    of: dict[str, list[Trace]] = {}
    for trace in traces:
        of.setdefault(trace.scan, []).append(trace)
    async for scan in scans:
        said, here = asked(scan), of.pop(scan["_id"], [])
        if not here and not is_scan(scan):
            continue
        met = None if said.networks is None else network.intersect(said.networks)
        if met is None or met or here:
            yield _row(scan, said, met, here)
    for name, here in of.items():
        yield _row({"_id": name}, asked({}), None, here)


def _row(scan: Mapping[str, Any], said: Asked, met: NetSet | None, traces: Sequence[Trace]) -> Row:
    start, end, progress = scan.get("start", {}), scan.get("end", {}), scan.get("progress", {})
    spec: Mapping[str, Any] = start.get("spec") or {}
    agents = _agents(scan)
    stored: Counter[str] = Counter()
    for trace in traces:
        stored[trace.kind] += trace.count
    return {
        "scan": scan["_id"],
        "operator": spec.get("operator") or None,
        "approval": spec.get("approval") or None,
        "from": _from(scan, spec, agents, traces),
        "probe": spec.get("probe"),
        "ports": spec.get("ports"),
        "start": rfc3339(start["ts"]) if start else None,
        "end": rfc3339(end["ts"]) if end else None,
        "last_sign": rfc3339(progress["ts"]) if progress and not end else None,
        "unfinished": (unfinished(scan) or None) if start or end else None,
        "addresses": None if met is None else met.size,
        "probes_at_most": None if met is None else met.size * said.per_address * said.attempts,
        "probed_again": max(0, sum(agents.values()) - int(end.get("position") or 0)) if agents else 0,
        "not_known": (said.why or None) if met is None or met else "the network is not among its targets",
        "stored": {kind: stored[kind] for kind in _KINDS if stored[kind]},
        "first_stored": rfc3339(min(t.first for t in traces)) if traces else None,
        "last_stored": rfc3339(max(t.last for t in traces)) if traces else None,
    }


def _from(
    scan: Mapping[str, Any], spec: Mapping[str, Any], agents: Mapping[str, int], traces: Sequence[Trace]
) -> list[Row]:
    """Vantages, each with its source addresses, and when what is stored from there was heard; a fleet's agents by their
    aliases, also those that heard nothing."""
    sources: dict[str, set[str]] = {}
    own = (spec.get("sender") or {}).get("source_ip")
    vantage = scan.get("start", {}).get("vantage") or spec.get("vantage") or ""
    if own or vantage:
        sources.setdefault(vantage, set()).update(str(own).split(",") if own else ())
    for agent in agents:
        sources.setdefault(agent, set())
    heard: dict[str, list[Trace]] = {}
    for trace in traces:
        if trace.vantage or trace.source:
            sources.setdefault(trace.vantage, set()).update([trace.source] if trace.source else ())
            heard.setdefault(trace.vantage, []).append(trace)
    rows: list[Row] = []
    for name, of in sorted(sources.items()):
        row: Row = {"vantage": name or None, "addresses": sorted(of)}
        if name in heard:
            row["first"] = rfc3339(min(trace.first for trace in heard[name]))
            row["last"] = rfc3339(max(trace.last for trace in heard[name]))
        rows.append(row)
    return rows


def _agents(scan: Mapping[str, Any]) -> dict[str, int]:
    """Who has done a part of a fleet's scan and how many targets each, as its end says; while there is none, those to
    whom it was given by name."""
    end = scan.get("end")
    if end is None:
        named = (scan.get("start", {}).get("spec") or {}).get("agents")
        return dict.fromkeys(map(str, named), 0) if isinstance(named, list) else {}
    agents = (end.get("counters") or {}).get("agents")
    if not isinstance(agents, dict):
        return {}
    return {str(agent): count if isinstance(count, int) else 0 for agent, count in agents.items()}


# --- in words


def lines(row: Row) -> Iterator[tuple[str, str]]:
    """(what, said) of a row, for who answers the mail."""
    unknown = "not recorded"
    yield "who", row["operator"] or unknown
    yield "approval", row["approval"] or unknown
    places = [f"{p['vantage'] or ''} {' '.join(p['addresses'])}".strip() for p in row["from"]]
    yield "from", "; ".join(places) or unknown
    yield "what", unknown if row["probe"] is None else f"{row['probe']} {_ports(row['ports'])}".strip()
    sign = f", its last sign is of {row['last_sign']}" if row["last_sign"] else ""
    ended = row["end"] or f"no end is recorded{sign}"
    yield "when", f"{row['start'] or unknown} to {ended}" + (f" ({row['unfinished']})" if row["unfinished"] else "")
    why = f" ({row['not_known']})" if row["not_known"] else ""
    again = f"; {row['probed_again']:,} of all its targets by a second agent too" if row["probed_again"] else ""
    if row["addresses"] is None:
        yield "probes", f"not known{why}"
    else:
        yield "probes", f"{row['probes_at_most']:,} at most, to {row['addresses']:,} addresses{why}{again}"
    stored = ", ".join(f"{count:,} {_KINDS[kind]}" for kind, count in row["stored"].items())
    times = f", from {row['first_stored']} to {row['last_stored']}" if row["stored"] else ""
    yield "stored", (stored or "nothing") + times


def _ports(text: str | None) -> str:
    return f"to ports {text}" if text else ""
