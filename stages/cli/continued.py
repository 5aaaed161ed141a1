"""`--via raw|adopt` of the grab stages: how they go on with the connections of the scanner on this host."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from stages.core.errors import UsageError
from stages.core.settings import ContinueSettings

if TYPE_CHECKING:
    from stages.core.bus.base import Topics
    from stages.core.settings import Loaded
    from stages.net.continuation import Fixed
    from stages.net.conversation import Conversation
    from stages.net.dialing import Dialer
    from stages.net.ended import OnEnded
    from stages.net.firewall import Lease
    from stages.net.onward import Onward, Way
    from stages.net.privileges import Setup

log = logging.getLogger("longline.cli.continued")

#: Bytes of the key that control ports are drawn with.
_KEY_BYTES = 16

#: Hellos of JARM, each on a connection of its own.
JARM_CONNECTIONS = 10


class GoOn(Protocol):
    """Makes the engine that goes on with hits."""

    def __call__(
        self,
        dialer: Dialer,
        on_end: Callable[[list[Conversation]], None],
        on_spent: Callable[[Any], None],
        fixed: Fixed | None = None,
        on_ended: OnEnded | None = None,
    ) -> Onward: ...


def check(loaded: Loaded, *, udp: bool = False, workers: int = 1, jarm: bool = False) -> None:
    """Raise UsageError for what does not go together with `--via` and `--max-syn-per-target`."""
    more = loaded.get("continue", ContinueSettings)
    if udp and (more.via != "connect" or more.max_syn_per_target is not None):
        raise UsageError("--udp", None, "has no connections to go on with, and no SYNs to count")
    if more.via == "raw" and workers > 1:
        raise UsageError("--workers", workers, "one process sees the packets of --via raw")
    if jarm and more.max_syn_per_target is not None and more.max_syn_per_target < JARM_CONNECTIONS:
        raise UsageError("--max-syn-per-target", more.max_syn_per_target, "JARM takes ten connections to a target")
    if more.control_port and more.via != "raw":
        raise UsageError("--control-port", None, "is asked by packets: with --via raw")


def needs_setup(loaded: Loaded) -> bool:
    """Whether the process may need capabilities, which are then held as `stages.net.privileges` holds them."""
    return loaded.get("continue", ContinueSettings).via != "connect"


def of_scanner(loaded: Loaded, topics: Topics) -> str | None:
    """The topic of the scanner whose hits are continued; None: hits are read where everybody reads them."""
    more = loaded.get("continue", ContinueSettings)
    if more.via == "connect" and more.scanner is None:
        return None
    return topics.hits_of(more.scanner if more.scanner is not None else socket.gethostname())


def go_on_of(loaded: Loaded, setup: Setup | None, *, capacity: int, keep_data: bool) -> GoOn | None:
    """Makes the engine that goes on with hits; None: there is nothing but dialling. `setup` has the capabilities for
    it; None: this process has. `capacity`: connections at once. `keep_data`: False when the dialogues keep what they
    need."""
    more = loaded.get("continue", ContinueSettings)
    if more.via == "connect" and more.max_syn_per_target is None:
        return None
    held = _held(more, setup) if more.via != "connect" and more.source_ports is not None else None

    def go_on(
        dialer: Dialer,
        on_end: Callable[[list[Conversation]], None],
        on_spent: Callable[[Any], None],
        fixed: Fixed | None = None,
        on_ended: OnEnded | None = None,
    ) -> Onward:
        from stages.net.onward import Onward

        way: Way | None = None
        if more.via == "raw":
            from stages.net.onward_ways import Raw

            way = Raw(
                capacity=capacity,
                close=more.close,
                control=os.urandom(_KEY_BYTES) if more.control_port else None,
                keep_data=keep_data,
                held=held,
                fixed=fixed,
                on_ended=on_ended,
            )
        elif more.via == "adopt":
            from stages.net.onward_ways import Adopt

            way = Adopt(dialer, capacity=capacity, held=held)
        return Onward(
            dialer,
            on_end,
            on_spent,
            way,
            host=socket.gethostname(),
            max_age=more.max_hit_age,
            syns=more.max_syn_per_target,
            run=setup.run if setup is not None else lambda work: work(),
        )

    return go_on


def _held(more: ContinueSettings, setup: Setup | None) -> Lease | None:
    """A lease for a scanner that takes none, before it begins."""
    from stages.net.firewall import Lease

    assert more.source_ports is not None
    ports = more.source_ports
    try:
        if setup is None:
            return Lease.take([_own_address()], ports)
        return setup.run(lambda: Lease.take([_own_address()], ports), last=False)
    except OSError as error:
        log.warning("this host is not kept quiet from the start: %s", error.strerror or error)
        return None


def _own_address() -> str:
    """The source address of the default route; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))  # documentation (RFC 5737): it goes where everything goes
        return str(sock.getsockname()[0])
