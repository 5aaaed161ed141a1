"""What named dialogues have in common. Pure.

A dialogue is one of `stages.net.conversation.Dialogue`, and knows more in the end: `service`, the protocol that is
spoken there; `facts`, of the keys in `facts.KEYS`; `broken`, what in the peer's bytes breaks the protocol. All three
may be read at any time; `over` is called once no more bytes will come, however that happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import shake_256

from stages.proto.dialogues.facts import Facts, text


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a dialogue is with."""

    address: str
    port: int = 0
    name: str | None = None  #: its name, where one is known
    seed: bytes = b""  #: what is random in this dialogue is drawn from it

    def random(self, size: int) -> bytes:
        return shake_256(self.seed).digest(size)

    @property
    def host(self) -> str:
        """Name or address, as a URL has it (RFC 3986 section 3.2.2)."""
        if self.name:
            return self.name
        address = self.address.partition("%")[0]
        return f"[{address}]" if ":" in address else address


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is waited, in seconds."""

    first: float = 4.0  #: for the first byte
    idle: float = 1.0  #: between two segments
    total: float = 30.0  #: for the whole conversation


class Told:
    """A dialogue in which the server speaks first and nothing is said; the others are made of it."""

    __slots__ = ("broken", "facts", "pace", "service", "target")

    def __init__(self, target: Target, pace: Pace) -> None:
        self.target = target
        self.pace = pace
        self.service: str | None = None
        self.facts: Facts = {}
        self.broken: str | None = None

    @property
    def idle(self) -> float:
        return self.pace.idle

    @property
    def total(self) -> float:
        return self.pace.total

    def opening(self) -> bytes:
        return b""

    def wait(self) -> float:
        return self.pace.first

    def silence(self) -> bytes | None:
        return None

    def receive(self, data: bytes) -> bytes | None:
        return b""

    def farewell(self) -> bytes:
        return b""

    def eof(self) -> bytes | None:
        self.over()
        return None

    def over(self) -> None:
        """No more bytes will come. May be called twice."""

    def breaks(self, why: str) -> None:
        """The peer's bytes break the protocol: the conversation ends here."""
        self.broken = text(why.encode())
        self.facts["error"] = self.broken


#: How a dialogue is begun.
Begin = Callable[[Target, Pace], Told]
