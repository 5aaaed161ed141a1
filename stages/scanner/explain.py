"""What a scan would do, before it does it: targets, packets, time, bandwidth, and what networks would see of it. Pure.

The order of a scan spreads its probes evenly over its targets: a network gets its share of them all the time, and so
much of the rate as it has of the addresses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stages.core.ranges import Range
from stages.scanner.parts import Part
from stages.scanner.prepare import Prepared
from stages.scanner.probes import entry
from stages.scanner.quantities import MIN_WIRE, WIRE_OVERHEAD
from stages.scanner.space import U32Array
from stages.scanner.spec import ScanSpec

#: Networks as their operators see them: a site, a provider.
_PREFIXES: Final = (24, 16)
_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


@dataclass(frozen=True, slots=True)
class Explained:
    """Figures of a scan. `seconds` is inf without a limit to the rate."""

    addresses: int
    targets: int  #: of this shard
    packets: int  #: at most: all retries, none answered
    rate: float
    seconds: float  #: of sending
    bits: float  #: a second on the wire, frame gaps and preamble included
    fullest: dict[int, int]  #: prefix length -> target addresses in the fullest network of that length


def explained(prepared: Prepared, frame_bytes: float, rate: float) -> Explained:
    """`frame_bytes`: on average, without FCS; `rate`: packets a second, 0: unlimited."""
    spec, settings = prepared.spec, prepared.settings
    targets = max(spec.last - prepared.checkpoint.position, 0)
    packets = targets * settings.attempts
    seconds = packets / rate if rate else float("inf")
    if settings.max_runtime is not None:
        seconds = min(seconds, settings.max_runtime)
    wire = max(frame_bytes + WIRE_OVERHEAD, MIN_WIRE) * 8
    chosen = prepared.targets
    fullest = {
        length: _fullest_listed(chosen.listed, length) if chosen.listed is not None else fullest_of(chosen.v4, length)
        for length in _PREFIXES
    }
    return Explained(spec.addresses, targets, packets, rate, seconds, rate * wire, fullest)


def fullest_of(ranges: Sequence[Range], length: int) -> int:
    """Addresses in the fullest network of a prefix length; `ranges` are disjoint."""
    shift = 32 - length
    parts: defaultdict[int, int] = defaultdict(int)
    for first, last in ranges:
        low, high = first >> shift, last >> shift
        if high - low > 1:
            return 1 << shift
        for network in range(low, high + 1):
            begin, end = max(first, network << shift), min(last, (network + 1 << shift) - 1)
            parts[network] += end - begin + 1
    return max(parts.values(), default=0)


def _fullest_listed(listed: U32Array, length: int) -> int:
    if not listed.size:
        return 0
    return int(np.unique(listed >> np.uint32(32 - length), return_counts=True)[1].max())


def text(prepared: Prepared, found: Explained) -> str:
    """The figures as lines for people."""
    spec, settings = prepared.spec, prepared.settings
    gone = left_out(spec)
    lines = [
        ("addresses", f"{found.addresses:,}" + (f" (left out: {gone})" if gone else "")),
        ("probes", "; ".join(map(_part, prepared.parts))),
        ("targets", f"{found.targets:,}" + (f", shard {spec.shard} of {spec.shards}" if spec.shards > 1 else "")),
        ("packets", f"{found.packets:,}" + (" at most: who answers is not asked again" if settings.retries else "")),
        ("rate", f"{found.rate:,.10g} packets/s" if found.rate else "no limit"),
        ("time", f"{duration(found.seconds)} of sending, {duration(settings.cooldown_time)} of listening"),
        ("on the wire", f"{_bits(found.bits)}" if found.rate else "as fast as it goes"),
    ]
    for length, addresses in found.fullest.items():
        share = addresses / found.addresses if found.addresses else 0.0
        packets = found.packets * share
        pace = f", {found.rate * share:,.3g}/s" if found.rate else ""
        lines.append((f"load per /{length}", f"up to {packets:,.0f} packets to {addresses:,} addresses{pace}"))
    width = max(len(name) for name, _ in lines)
    return "".join(f"{name:{width}}  {value}\n" for name, value in lines)


def left_out(spec: ScanSpec) -> str:
    """`256 special, 4 blocklist`: addresses, by why they are not probed."""
    return ", ".join(f"{count:,} {reason}" for reason, count in spec.excluded.items() if count)


def duration(seconds: float) -> str:
    """`4.2 min`."""
    if seconds == float("inf"):
        return "unknown"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def _part(part: Part) -> str:
    return part.text() if entry(part.probe).ports else part.probe


def _bits(value: float) -> str:
    for size, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if value >= size:
            return f"{value / size:,.2f} {unit}"
    return f"{value:,.0f} bit/s"
