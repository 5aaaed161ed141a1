"""The ways out for frames, and the choice among them: the best that works, found by trying.

    xdp     AF_XDP: frames are sent from where they are built; one thread for each transmit queue of the interface
    packet  AF_PACKET: any interface with Ethernet headers
    ip      raw IP sockets: the kernel finds way and neighbour; the only one where there are no Ethernet headers

Each was tried when it is chosen: sockets are open and bound. What was passed over is told with its reason.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from stages.net import link as links
from stages.net import xsk
from stages.net.packetsocket import FrameSender, Wire
from stages.net.path import Path
from stages.net.rawip import RawIpSender
from stages.scanner.frames import FrameBuilder

#: Best first.
ENGINES: Final = ("xdp", "packet", "ip")

#: Blocks for AF_XDP: one is filled, the other is on its way or waits for its completions to be seen.
XDP_BLOCKS: Final = 2


class MakeRows(Protocol):
    """Makes a FrameBuilder for the scan; the arguments are FrameBuilder's."""

    def __call__(self, **more: Any) -> FrameBuilder: ...


@dataclass(slots=True)
class Outlets:
    """What a scan sends with: `wires[i]` sends the rows of `rows[i]`."""

    name: str
    rows: list[FrameBuilder] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)  #: engine -> why it is not this one

    def close(self) -> None:
        """Idempotent."""
        for wire in self.wires:
            wire.close()


def open_outlets(engine: str, way: Path, threads: int, make: MakeRows) -> Outlets:
    """`engine`: one of ENGINES, or `auto`. Raises OSError when it, or every one of them, does not work: the text says
    why. What one may not do at all (NoRawAccess) the others may not either."""
    passed_over: dict[str, str] = {}
    for name in ENGINES if engine == "auto" else (engine,):
        outlets = Outlets(name, passed_over=passed_over)
        try:
            _OPEN[name](outlets, way, threads, make)
        except OSError as error:
            outlets.close()
            if name == engine or isinstance(error, PermissionError):
                raise
            passed_over[name] = error.strerror or str(error)
            last = error
        else:
            return outlets
    raise OSError(last.errno, "; ".join(f"{name}: {why}" for name, why in passed_over.items())) from last


def _xdp(outlets: Outlets, way: Path, threads: int, make: MakeRows) -> None:
    _need_ethernet(way)
    queues = links.queues(way.interface)
    if threads > queues:
        outlets.passed_over[f"{threads} threads"] = f"{way.interface} has {queues} transmit queue(s), one for a thread"
    for queue in range(min(threads, queues)):
        outlets.rows.append(make(blocks=XDP_BLOCKS, allocate=xsk.memory))
        outlets.wires.append(xsk.open_best(way.interface, outlets.rows[-1], queue))


def _packet(outlets: Outlets, way: Path, threads: int, make: MakeRows) -> None:
    _need_ethernet(way)
    for _ in range(threads):
        outlets.rows.append(make())
        outlets.wires.append(FrameSender(way.interface, outlets.rows[-1]))


def _ip(outlets: Outlets, way: Path, threads: int, make: MakeRows) -> None:
    if way.vlan is not None:
        raise links.InterfaceError(errno.EPFNOSUPPORT, "raw IP sockets send no VLAN tags")
    for _ in range(threads):
        outlets.rows.append(make(link_header=False))
        outlets.wires.append(RawIpSender(way.interface, outlets.rows[-1]))


def _need_ethernet(way: Path) -> None:
    if not way.ethernet:
        raise links.InterfaceError(errno.EPFNOSUPPORT, f"interface {way.interface} has no Ethernet headers")


_OPEN: Final[dict[str, Callable[[Outlets, Path, int, MakeRows], None]]] = {"xdp": _xdp, "packet": _packet, "ip": _ip}
