"""What a grab reads of a connection that has ended, and what follows from it for every grab. Pure.

The engine of `stages.net` tells phase, errno and ICMP; here that becomes the fields of a record. What the bytes mean
is the grab's own affair.
"""

from __future__ import annotations

from errno import errorcode
from typing import Any, Final, Protocol

from stages.core.outcome import Outcome, Phase, Via, of_error

_VIAS: Final = {str(via): via for via in Via}
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
    control: bool | None

    @property
    def via(self) -> str: ...

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

    `datagrams`: over UDP silence is `timeout`, as nothing shows that anybody is there. On a connection of the scanner's
    (`raw`) a peer that acknowledged none of our bytes is `silent`: it has sent a SYN-ACK and then nothing, as
    middleboxes do that answer for every address.
    """
    if not conversation.timed_out:
        return None if conversation.data or conversation.size else Outcome.EMPTY
    if conversation.errno is not None:
        return Outcome.UNREACHABLE  # an ICMP error, the only thing that is told without ending a connection
    if conversation.size or conversation.data:
        return Outcome.TIMEOUT
    heard = phase_of(conversation) is Phase.READ or conversation.via == Via.RAW
    return Outcome.TIMEOUT if datagrams or not heard else Outcome.SILENT


def seconds(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def fields_of(conversation: Ended) -> dict[str, Any]:
    """The fields that the records of all grabs share: ts, via, errno, icmp, connect, first_byte, ended, control."""
    icmp: dict[str, Any] | None = None
    if conversation.icmp is not None:
        kind, code, responder = conversation.icmp
        icmp = {"type": kind, "code": code, "responder": responder or None}
    errno = conversation.errno
    return {
        "ts": conversation.started,
        "via": _VIAS[conversation.via],
        "errno": None if errno is None else errorcode.get(errno, str(errno)),
        "icmp": icmp,
        "connect": seconds(conversation.connected),
        "first_byte": seconds(conversation.first_byte),
        "ended": seconds(conversation.ended),
        "control": conversation.control,
    }
