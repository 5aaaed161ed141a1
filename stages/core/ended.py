"""What a grab reads of a connection that has ended, and what follows from it for every grab. Pure.

The engine of `stages.net` tells phase, errno and ICMP; here that becomes the fields of a record. What the bytes mean
is the grab's own affair.
"""

from __future__ import annotations

from errno import errorcode
from typing import Any, Final, Protocol

from stages.core.outcome import Outcome, Phase, of_error

_PHASES: Final = {"connect": Phase.CONNECT, "write": Phase.WRITE, "read": Phase.READ}

#: Digits of a duration: the clock of a batch is no better than a microsecond.
_DIGITS: Final = 6


class Ended(Protocol):
    """What an engine hands over (`stages.net.conversation.Conversation`)."""

    started: int
    connected: float | None
    first_byte: float | None
    ended: float | None
    errno: int | None
    icmp: tuple[int, int, str] | None
    failed: bool
    left_host: bool
    sent: int
    size: int
    data: list[bytes]
    truncated: bool
    timed_out: bool

    @property
    def phase(self) -> str: ...

    @property
    def body(self) -> bytes: ...


def phase_of(conversation: Ended) -> Phase:
    return _PHASES[conversation.phase]


def failure_of(conversation: Ended) -> Outcome | None:
    """How the kernel says that it failed; None when no error ended it."""
    if not conversation.failed:
        return None
    icmp = conversation.icmp
    return of_error(
        conversation.errno or 0,
        phase_of(conversation),
        icmp=None if icmp is None else icmp[:2],
        left_host=conversation.left_host,
    )


def silence_of(conversation: Ended, *, datagrams: bool = False) -> Outcome | None:
    """What it means that it ended without an error, by the peer's close or by a deadline; None when bytes had come and
    the peer closed, or we did: the bytes tell.

    `datagrams`: over UDP silence is `timeout`, as nothing shows that anybody is there.
    """
    if not conversation.timed_out:
        return None if conversation.data or conversation.size else Outcome.EMPTY
    if conversation.errno is not None:
        return Outcome.UNREACHABLE  # an ICMP error, the only thing that is told without ending a connection
    if conversation.size or conversation.data:
        return Outcome.TIMEOUT
    return Outcome.TIMEOUT if datagrams or phase_of(conversation) is not Phase.READ else Outcome.SILENT


def seconds(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def fields_of(conversation: Ended) -> dict[str, Any]:
    """The fields that the records of all grabs share: ts, errno, icmp, connect, first_byte, ended."""
    icmp: dict[str, Any] | None = None
    if conversation.icmp is not None:
        kind, code, responder = conversation.icmp
        icmp = {"type": kind, "code": code, "responder": responder or None}
    errno = conversation.errno
    return {
        "ts": conversation.started,
        "errno": None if errno is None else errorcode.get(errno, str(errno)),
        "icmp": icmp,
        "connect": seconds(conversation.connected),
        "first_byte": seconds(conversation.first_byte),
        "ended": seconds(conversation.ended),
    }
