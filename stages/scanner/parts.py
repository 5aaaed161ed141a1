"""A mixed scan: a list of parts, (probe module, its ports, its arguments), over one permutation. Pure.

    --probe tcp_synscan:80,443 --probe 'dns:53 A,example.com' --probe icmp_echoscan

The scan's space is addresses x *slots*: a slot is a part and one of its ports, as one integer, `part << 16 | port`.
So a position of the order belongs to one part, everything that is known by position (dedup, send times, retries,
shards, the checkpoint) is as it is with one module, and a scan of one module, whose slots are its ports, is what it
always was.

Each port of a transport belongs to one part: an answer tells its transport and port, and so the part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stages.scanner.ports import parse_ports, ports_text
from stages.scanner.probes import entry

#: Bits of a slot below the number of its part.
SHIFT: Final = 16

#: Each part reads every packet that comes in: more of them would be slower than scans one after the other.
MAX_PARTS: Final = 8

#: What stands for the port of a probe that has none.
NO_PORTS: Final = (0,)


@dataclass(frozen=True, slots=True)
class Part:
    """What one probe module does in a scan."""

    probe: str
    ports: tuple[int, ...]  #: sorted; NO_PORTS for a module without ports
    args: str = ""

    @property
    def transport(self) -> str:
        return entry(self.probe).transport

    def text(self) -> str:
        """The inverse of `parse_part`."""
        ports = f":{ports_text(self.ports)}" if entry(self.probe).ports else ""
        return f"{self.probe}{ports} {self.args}".rstrip()


def parse_part(text: str) -> Part:
    """`NAME`, `NAME:PORTS` or `NAME:PORTS ARGS`. Raises ValueError that names what is wrong."""
    head, _, args = text.strip().partition(" ")
    probe, colon, ports = head.partition(":")
    known = entry(probe)
    if not known.ports:
        if colon:
            raise ValueError(f"{probe} has no ports, not {ports!r}")
        return Part(probe, NO_PORTS, args.strip())
    if not ports:
        raise ValueError(f"{probe} needs to know which ports to scan: {probe}:PORTS")
    return Part(probe, parse_ports(ports), args.strip())


def check_parts(parts: Sequence[Part]) -> None:
    """Raise ValueError unless each port of a transport belongs to one part."""
    if len(parts) > MAX_PARTS:
        raise ValueError(f"{len(parts)} probe modules in one scan: {MAX_PARTS} at most")
    taken: dict[tuple[str, int], str] = {}
    for part in parts:
        for port in part.ports:
            first = taken.setdefault((part.transport, port), part.probe)
            if first != part.probe or part.ports.count(port) > 1:
                where = f"{part.transport} port {port}" if entry(part.probe).ports else part.transport
                raise ValueError(f"{first} and {part.probe} both have {where}: an answer could not be told apart")
    if len({part.probe for part in parts}) < len(parts):
        raise ValueError("a probe module is named twice: give it all its ports at once")


def slots(parts: Sequence[Part]) -> tuple[int, ...]:
    """The slots of a scan: of one part, its ports."""
    return tuple(number << SHIFT | port for number, part in enumerate(parts) for port in part.ports)


def identity(parts: Sequence[Part]) -> tuple[str, str, str]:
    """(probe, ports, arguments) as a specification names them: of one part, its own; of several, joined by ` + `."""
    if len(parts) == 1:
        (part,) = parts
        return part.probe, ports_text(part.ports) if entry(part.probe).ports else "", part.args
    ports = [ports_text(part.ports) if entry(part.probe).ports else "-" for part in parts]
    args = [part.args for part in parts] if any(part.args for part in parts) else []
    return "+".join(part.probe for part in parts), "+".join(ports), " + ".join(args)
