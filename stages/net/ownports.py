"""Whether the scan's source ports are its own: the kernel must hand them to no other program, and none may have them.

The kernel takes the port of an ordinary connection from `ip_local_port_range`, less `ip_local_reserved_ports`
(linux/Documentation/networking/ip-sysctl). A port that a scan uses too could bring the connections of two together; so
the scan's are outside the range, or reserved. What uses one now is seen in /proc/net/tcp and tcp6 (proc(5)); a socket
that is bound and neither connected nor listening is not in them.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

_SYSCTL: Final = Path("/proc/sys/net/ipv4")
#: Those of the calling thread's network namespace.
_NET: Final = Path("/proc/thread-self/net")
RANGE: Final = "net.ipv4.ip_local_port_range"
RESERVED: Final = "net.ipv4.ip_local_reserved_ports"
#: How many are named in a message.
NAMED: Final = 5

# Columns of /proc/net/tcp.
_LOCAL: Final = 1
_STATE: Final = 3
_INODE: Final = 9
_STATES: Final = {
    "01": "established", "02": "syn-sent", "04": "fin-wait-1", "05": "fin-wait-2", "08": "close-wait",
    "09": "last-ack", "0A": "listening", "0B": "closing",
}  # fmt: skip

Range = tuple[int, int]


@dataclass(frozen=True, order=True)
class Use:
    """A socket of this host on one of the ports."""

    port: int
    address: str
    state: str

    def __str__(self) -> str:
        return f"{self.address} port {self.port} ({self.state})"


class PortsInUse(OSError):
    """Programs of this host use source ports of the scan; the text names some. `errno` is EADDRINUSE."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EADDRINUSE, text)


def check(addresses: Iterable[str], ports: Range) -> str | None:
    """Before a scan goes on with what it opens from these addresses and ports: a warning, None if all is well.

    Raises PortsInUse; OSError where the kernel does not tell.
    """
    said = complaint(in_use(addresses, ports))
    if said is not None:
        raise PortsInUse(said)
    return not_reserved(ports)


def parse_ranges(text: str) -> list[Range]:
    """`8080,9148,40000-40100` as the kernel writes it. Raises ValueError."""
    parts = [part.partition("-") for part in text.strip().split(",") if part]
    return [(int(first), int(last or first)) for first, _, last in parts]


def less(ports: Range, taken: Iterable[Range]) -> list[Range]:
    """What of `ports` is in none of the ranges."""
    left: list[Range] = []
    first, last = ports
    for low, high in sorted(taken):
        if high < first:
            continue
        if low > last:
            break
        if low > first:
            left.append((first, low - 1))
        first = high + 1
    return [*left, (first, last)] if first <= last else left


def handed_out(ports: Range) -> list[Range]:
    """Those of `ports` that the kernel may give to any program. Raises OSError where it does not tell."""
    low, high = map(int, (_SYSCTL / "ip_local_port_range").read_text(encoding="ascii").split())
    common = max(low, ports[0]), min(high, ports[1])
    return less(common, _reserved()) if common[0] <= common[1] else []


def _reserved() -> list[Range]:
    return parse_ranges((_SYSCTL / "ip_local_reserved_ports").read_text(encoding="ascii"))


def not_reserved(ports: Range) -> str | None:
    """What is wrong with `ports`, and the command that mends it; None: they are our own. Raises OSError."""
    given = handed_out(ports)
    if not given:
        return None
    wanted = _text([*_reserved(), *given])
    return (
        f"the kernel may give source ports {_text(given)} of the scan to other programs of this host ({RANGE}), whose "
        f"connections then meet the scan's; reserve them: sysctl -w {RESERVED}={wanted}"
    )


def in_use(addresses: Iterable[str], ports: Range) -> list[Use]:
    """Sockets of this host's programs on `ports` of these IPv4 addresses, or of all addresses. Raises OSError.

    What no program holds any more (TIME_WAIT, and closing) is not in use.
    """
    ours = {IPv4Address(address) for address in addresses}
    found = {use for name in ("tcp", "tcp6") for use in _uses(_NET / name, ours, ports)}
    return sorted(found)


def complaint(uses: list[Use]) -> str | None:
    """What to say of ports that are in use; None if there are none."""
    if not uses:
        return None
    more = f" and {len(uses) - NAMED} more" if len(uses) > NAMED else ""
    return (
        f"source ports of the scan are in use on this host: {', '.join(map(str, uses[:NAMED]))}{more}; "
        "choose others (--source-port), `ss -tanp` shows whose they are"
    )


def _uses(table: Path, ours: set[IPv4Address], ports: Range) -> Iterable[Use]:
    try:
        file = table.open(encoding="ascii")
    except FileNotFoundError:  # a kernel without IPv6
        return
    with file:
        next(file, None)
        for line in file:
            fields = line.split()
            packed, _, port = fields[_LOCAL].partition(":")
            if not ports[0] <= (number := int(port, 16)) <= ports[1] or fields[_INODE] == "0":
                continue
            address = _address(packed)
            if address in ours or address is None:
                text = "any address" if address is None else str(address)
                yield Use(number, text, _STATES.get(fields[_STATE], fields[_STATE]))


def _address(packed: str) -> IPv4Address | IPv6Address | None:
    """Words of 32 bits in the byte order of the machine; None: any address."""
    words = [int(packed[at : at + 8], 16) for at in range(0, len(packed), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    if not any(raw):
        return None
    if len(raw) == 4:  # bytes of an IPv4 address
        return IPv4Address(raw)
    address = IPv6Address(socket.inet_ntop(socket.AF_INET6, raw))
    return address.ipv4_mapped or address


def _text(ranges: list[Range]) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in sorted(ranges))
