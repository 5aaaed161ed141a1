"""Target ports as `-p` has them: `80,443,8000-8100`, or `*` for all. Pure.

Port 0 is a valid target of a scan (RFC 6335 section 6 reserves it; what answers there is worth knowing), an error
only where one connects. A port given twice is probed once; the order does not matter: the permutation mixes them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

#: The largest port (RFC 9293 section 3.1: 16 bits).
MAX_PORT: Final = 65_535

#: All ports, port 0 included.
EVERY: Final = "*"


def parse_ports(text: str) -> tuple[int, ...]:
    """The ports in `text`, sorted, each once. Raises ValueError that names the item."""
    if text.strip() == EVERY:
        return tuple(range(MAX_PORT + 1))
    ports: set[int] = set()
    for item in text.split(","):
        low, dash, high = item.strip().partition("-")
        first = _port(low, item)
        last = _port(high, item) if dash else first
        if last < first:
            raise ValueError(f"{item.strip()!r} is an inverted range")
        ports.update(range(first, last + 1))
    return tuple(sorted(ports))


def parse_port_range(text: str) -> tuple[int, int]:
    """`40000` or `40000-50000` as (first, last), inclusive: a source port or range. Raises ValueError."""
    low, dash, high = text.strip().partition("-")
    first = _port(low, text)
    last = _port(high, text) if dash else first
    if last < first:
        raise ValueError(f"{text.strip()!r} is an inverted range")
    return first, last


def ports_text(ports: tuple[int, ...]) -> str:
    """The inverse of `parse_ports` for sorted ports: `80,443,8000-8100`."""
    if len(ports) == MAX_PORT + 1:
        return EVERY
    starts = [port for before, port in pairwise((-2, *ports)) if port != before + 1]
    ends = [port for port, behind in pairwise((*ports, MAX_PORT + 3)) if behind != port + 1]
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in zip(starts, ends, strict=True))


def _port(text: str, item: str) -> int:
    digits = text.strip()
    # isdigit() alone takes superscripts, int() alone takes `8_0` and `+80`.
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{item.strip()!r} is not a port or a range of ports")
    port = int(digits)
    if port > MAX_PORT:
        raise ValueError(f"{item.strip()!r} is above the largest port, {MAX_PORT}")
    return port
