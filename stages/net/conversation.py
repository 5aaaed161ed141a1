"""What the engine of many connections is told and what it tells: `Dialogue` in, `Conversation` out.

A dialogue is sans-IO: bytes in, bytes out, no clock. It is implemented structurally by `stages.proto`; the engine
owns sockets and deadlines. A conversation is one connection: what was said, when, and how the kernel says it ended;
it names no outcome (`stages.core.outcome` does).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from _socket import socket as Socket

Phase = Literal["connect", "write", "read"]
CONNECT: Final = "connect"
WRITE: Final = "write"
READ: Final = "read"


class Dialogue(Protocol):
    """What is said on one connection. Called in this order; an exception ends the conversation (`fault`).

    connected [-> local()] -> opening() [-> wait() -> silence()]* -> receive(data)* -> farewell() or eof()
    """

    @property
    def idle(self) -> float:
        """Seconds without a byte after the first one until it is over."""

    @property
    def total(self) -> float:
        """Seconds from the start of the connection until it is over in any case."""

    # `local(address: str, port: int, microseconds: int) -> None`, where there is one: our side of the connection, and
    # when it was begun. Not part of the protocol, for few dialogues want to know.

    def opening(self) -> bytes:
        """Connected: what to send; b"" when the peer speaks first."""

    def wait(self) -> float:
        """Seconds to wait for the first byte, from now; asked after `opening` and after each `silence`."""

    def silence(self) -> bytes | None:
        """`wait` has passed without a byte: what (more) to send and wait again, or None to give up."""

    def receive(self, data: bytes) -> bytes | None:
        """Bytes of the peer, as they came: what to send (b"": read on), or None when all is known: close."""

    def farewell(self) -> bytes:
        """`receive` said None: what to send as we close; b"": nothing."""

    def eof(self) -> bytes | None:
        """The peer has closed its side: what to send before we close, or None."""


class Conversation:
    """One connection, from `dial` to its end. Times are seconds from `started`, None if it did not come to that."""

    __slots__ = (
        "_begun",
        "_connect_timeout",
        "_dialogue",
        "_fd",
        "_max_bytes",
        "_out",
        "_sock",
        "_syns",
        "closed_by",
        "connected",
        "control",
        "data",
        "deadline",
        "ended",
        "errno",
        "failed",
        "fault",
        "first_byte",
        "host",
        "icmp",
        "left_host",
        "phase",
        "port",
        "sent",
        "size",
        "started",
        "tag",
        "tick",
        "timed_out",
        "truncated",
        "via",
    )

    def __init__(
        self, host: str, port: int, dialogue: Dialogue, tag: object, connect_timeout: float, max_bytes: int
    ) -> None:
        self.host = host
        self.port = port
        self.tag = tag
        self.via: Literal["connect", "raw", "adopt"] = "connect"  #: how the connection came to be
        self.control: bool | None = None  #: whether a port that nobody serves answers there too; None: not asked
        self.started: int = 0  #: microseconds since the epoch
        self.connected: float | None = None
        self.first_byte: float | None = None
        self.ended: float | None = None
        self.phase: Phase = CONNECT  #: where it is, and at the end where it ended
        self.failed = False  #: the error ended it; False with `errno` set: an ICMP error came, as a hint
        self.errno: int | None = None  #: what the kernel said; kept also when bytes had come before
        self.icmp: tuple[int, int, str] | None = None  #: type, code and sender of the ICMP error behind `errno`
        self.left_host = True  #: False: the call itself failed and no packet can have left
        self.sent = 0  #: bytes given to the kernel
        self.size = 0  #: bytes received
        self.data: list[bytes] = []  #: the bytes received, unless the engine was told not to keep them
        self.truncated = False  #: there was more than `max_bytes`
        self.timed_out = False  #: ended by a deadline
        self.closed_by: Literal["peer", "us"] | None = None
        self.fault: Exception | None = None  #: the dialogue raised this
        # The engine's own.
        self.deadline = 0.0
        self.tick = -1
        self._begun = 0.0
        self._fd = -1
        self._sock: Socket | None = None
        self._dialogue = dialogue
        self._out: bytes = b""
        self._connect_timeout = connect_timeout
        self._max_bytes = max_bytes
        self._syns: int | None = None

    @property
    def dialogue(self) -> Dialogue:
        """What was said on it."""
        return self._dialogue

    @property
    def body(self) -> bytes:
        """All bytes received, in one piece."""
        data = self.data
        return data[0] if len(data) == 1 else b"".join(data)

    def __repr__(self) -> str:
        return f"<Conversation {self.host} {self.port} {self.phase} errno={self.errno} size={self.size}>"
