"""What a scan has asked whom, as far as its record says: its targets, its ports, how often, and whether it came to its
end. Pure.

The start record spells out the ranges that were left after all lists, unless they were too many; then the targets as
they were written must do, of which some were left out; and where there is neither, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stages.core.errors import UsageError
from stages.core.netset import NetSet, Span, parse_entry
from stages.core.routing import MAX_PORT, parse_ports
from stages.derive.prefixes import number_of

Record = Mapping[str, Any]

#: Ports of a probe that has none are recorded as 0.
NO_PORT: Final = 0

#: What joins the parts of a mixed scan, as a specification writes them, where `-` has no ports.
_AND: Final = "+"
_NONE: Final = "-"


@dataclass(frozen=True, slots=True)
class Asked:
    """None: not known."""

    networks: NetSet | None
    ports: frozenset[int] | None = None  #: None: any
    transports: Mapping[str, frozenset[int] | None] | None = None  #: transport -> its ports; None: any
    exact: bool = False  #: the networks are what was probed; else what was written, and lists may have left some out
    why: str = ""  #: in words, where the networks are not known or not exact
    attempts: int = 1  #: probes to one target, at most
    per_address: int = 1  #: targets (ports) of one address

    def holds(self, address: bytes, port: int, transport: str) -> bool:
        """Whether an address (16 bytes) and port may have been asked."""
        if self.transports is not None and transport not in self.transports:
            return False
        ports = self.ports if self.transports is None else self.transports[transport]
        if ports is not None and port not in ports:
            return False
        if self.networks is None:
            return True
        version, number = number_of(address)
        return number in (self.networks.v4 if version == 4 else self.networks.v6)


def asked(scan: Record, transport_of: Callable[[str], str | None] = lambda probe: None) -> Asked:
    """Of a stored scan. `transport_of` a probe module's name; None: not known."""
    spec = scan.get("start", {}).get("spec")
    if not isinstance(spec, dict):
        return Asked(None, why="its start is not recorded")
    ports, per_address = _ports(str(spec.get("ports", "")))
    attempts = _count(spec, "probes", 1) * (1 + _count(spec, "retries", 0))
    transports = _transports(str(spec.get("probe", "")), str(spec.get("ports", "")), transport_of)
    more: dict[str, Any] = {
        "ports": ports, "transports": transports, "attempts": attempts, "per_address": per_address
    }  # fmt: skip
    if isinstance(spec.get("ranges"), list):
        networks = _networks(spec["ranges"])
        return Asked(networks, exact=True, why="" if networks else "its ranges cannot be read", **more)
    if spec.get("list_of_ips_file"):
        return Asked(None, why="its list of addresses is too long for the record", **more)
    written = spec.get("targets")
    if not isinstance(written, list):
        return Asked(None, why="its record has no targets", **more)
    networks = _networks(written) if written else NetSet.of([Span(4, 0, (1 << 32) - 1)])
    if networks is None:
        return Asked(None, why="its targets are names, whose addresses are too many for the record", **more)
    return Asked(networks, why="its targets as written: the record does not say what lists left out", **more)


def is_scan(scan: Record) -> bool:
    """Whether something was probed under this name. A refresh of a campaign is several scans; under its own name stands
    only what was made of them (`assessed`)."""
    return "assessed" not in scan or any(event in scan for event in ("start", "progress", "end"))


def unfinished(scan: Record) -> str:
    """Why not all of its targets may have been asked, in words; empty: they were."""
    spec, end = scan.get("start", {}).get("spec") or {}, scan.get("end")
    size, shards = _count(spec, "size", 0), _count(spec, "shards", 1)
    last = _count(spec, "last", size)
    if end is None:
        reached = scan.get("progress", {}).get("position")
        return "it has no end" + (f", and was seen at {reached} of {last}" if reached is not None else "")
    counters = end.get("counters") or {}
    position = end.get("position")
    if counters.get("complete") is False or (isinstance(position, int) and position < last):
        return f"it ended at {position} of {last} ({counters.get('reason', 'stopped')})"
    if shards > 1:
        return f"it is one of {shards} shards"
    if last < size:
        return f"it was to probe {last} of {size} targets only"
    if dropped := _count(counters, "hits_dropped", 0):
        return f"{dropped} of its hits were left out, as those who take them were behind"
    return ""


def _count(of: Mapping[str, Any], key: str, default: int) -> int:
    """A stored integer; one beyond int64 is stored as its digits."""
    value = of.get(key)
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else default


def _networks(texts: Iterable[object]) -> NetSet | None:
    """None for what is no list of networks."""
    spans = []
    for text in texts:
        try:
            entry = parse_entry(str(text))
        except ValueError:
            return None
        if isinstance(entry, str):
            return None
        spans.append(entry)
    return NetSet.of(spans)


def _ports(text: str) -> tuple[frozenset[int] | None, int]:
    """(the ports, None for any; targets of one address). Of a mixed scan all together."""
    if not text:
        return None, 1
    ports: set[int] = set()
    targets = 0
    for part in text.split(_AND):
        try:
            these = frozenset({NO_PORT}) if part == _NONE else parse_ports(part)
        except UsageError:
            return None, MAX_PORT + 1  # not of ours: it may be anything
        ports |= these
        targets += len(these)
    return (frozenset(ports) if len(ports) <= MAX_PORT else None), targets


def _transports(
    probe: str, ports: str, transport_of: Callable[[str], str | None]
) -> dict[str, frozenset[int] | None] | None:
    """transport -> its ports (None: any), of the parts of a scan; None: not known of some."""
    found: dict[str, frozenset[int] | None] = {}
    probes, parts = probe.split(_AND), ports.split(_AND)
    if len(probes) != len(parts):
        return None
    for name, part in zip(probes, parts, strict=True):
        transport, (these, _) = transport_of(name), _ports(part)
        if transport is None:
            return None
        before = found.get(transport, frozenset())
        found[transport] = None if before is None or these is None else before | these
    return found
