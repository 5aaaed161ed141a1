"""The engine of continued connections: half-open ones in, what became of them out. One thread, no kernel sockets.

See `stages.net.tcp` for the state machine. (Interface; the engine follows.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from stages.net.conversation import Conversation, Dialogue
from stages.net.ended import ENDED, Ended
from stages.net.halfopen import HALFOPEN, HalfOpenArray

__all__ = ["ENDED", "HALFOPEN", "Continuation", "Ended", "Fixed", "Link"]


@dataclass(frozen=True, slots=True)
class Link:
    """The way out: as the scanner that sent the SYNs has it."""

    interface: str
    source_mac: bytes = bytes(6)
    gateway_mac: bytes | None = None  #: None: raw IP sockets, the kernel finds way and neighbour
    vlan: int | None = None
    link_header: bool = True  #: False: packets come without Ethernet headers
    ttl: int = 64
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class Fixed:
    """The dialogue that is compiled with the engine, the same for every connection. Times in seconds."""

    payload: bytes = b""  #: what we send; b"": nothing ever
    wait: float = 0.0  #: with a payload: how long the peer may speak first; 0: it may not
    first: float = 4.0  #: for the first byte
    idle: float = 1.0  #: between two segments
    total: float = 30.0  #: for the whole conversation
    max_bytes: int = 65_536


class Continuation(threading.Thread):
    """See the module's docstring."""

    def __init__(
        self,
        link: Link,
        source_ports: tuple[int, int],
        *,
        fixed: Fixed | None = None,
        close: Literal["fin", "rst"] = "rst",
        capacity: int = 200_000,
        own_wscale: int = -1,
        control: bytes | None = None,
        on_ended: Callable[[Ended], None] | None = None,
        on_conversations: Callable[[list[Conversation]], None] | None = None,
        keep_data: bool = True,
        outlet: Literal["packet", "xdp"] = "packet",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`source_ports`: first and last; every TCP packet to them is seen. `fixed`: needed for `put`. `own_wscale`: the
        window scale that our SYN offered, -1: none. `control`: a 16-byte key; a SYN goes to a keyed port of each new
        host (`Ended.control`). `on_ended`, `on_conversations`: called on the engine's thread with batches, each
        connection exactly once. `keep_data`: False when the dialogues keep what they need.

        Raises NoRawAccess, ConfinedError, OSError; ValueError for numbers that cannot be.
        """
        super().__init__(name="continuation", daemon=True)
        raise NotImplementedError

    counters: dict[str, int]  #: all that is counted, by name; read from any thread
    error: OSError | None  #: what ended the thread, if something did

    @property
    def open(self) -> int:
        """Connections in the table now."""
        raise NotImplementedError

    @property
    def in_flight(self) -> int:
        """Connections that were taken and not yet handed over."""
        raise NotImplementedError

    def put(self, half: HalfOpenArray) -> int:
        """Continue connections, the fixed dialogue with each. From any thread; the rows are copied.

        Returns how many of the rows (the first ones) were taken; there is no room for the rest now.
        """
        raise NotImplementedError

    def talk(self, half: Any, dialogue: Dialogue, tag: object, *, max_bytes: int) -> bool:
        """Continue one connection (a row of HALFOPEN) with a dialogue, called on the engine's thread. From any thread.

        False: there is no room now.
        """
        raise NotImplementedError

    def reset(self, half: HalfOpenArray) -> int:
        """End half-open connections that nobody continues, by RST. From any thread; returns how many were taken."""
        raise NotImplementedError

    def abort_all(self) -> None:
        """Reset everything in flight; nothing of it is handed over. From any thread."""
        raise NotImplementedError

    def finish(self) -> None:
        """Nothing more comes: the thread ends once the last connection has."""
        raise NotImplementedError

    def close(self, timeout: float = 0.0) -> None:
        """`finish`, and wait so long for the thread; then what is left is reset. Idempotent."""
        raise NotImplementedError
