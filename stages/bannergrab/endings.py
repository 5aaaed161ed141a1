"""A conversation that has ended, named: outcome, phase, and the Banner record. Pure.

    not connected    refused, unreachable, timeout, local     as the kernel said
    connected        reset       a RST ended it; what came before is kept
                     unreachable an ICMP error came, and then nothing
                     ok          bytes came, however it ended otherwise (closed, idle, limit, `--until`)
                     empty       closed without a byte
                     silent      open, and no byte in time
                     timeout     we could not even send

Over UDP silence is `timeout`: nothing shows that anybody is there. A datagram, even an empty one, is `ok`.
"""

from __future__ import annotations

from errno import errorcode
from typing import TYPE_CHECKING, Any, Final, Protocol

from stages.core.outcome import Outcome, Phase, of_error
from stages.core.records import Banner

if TYPE_CHECKING:
    from stages.core.records import Hit

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


def outcome_of(conversation: Ended, *, datagrams: bool = False) -> Outcome:
    """Name it. `datagrams`: over UDP."""
    phase = _PHASES[conversation.phase]
    if conversation.failed:
        icmp = conversation.icmp
        return of_error(
            conversation.errno or 0,
            phase,
            icmp=None if icmp is None else icmp[:2],
            left_host=conversation.left_host,
        )
    if conversation.data or conversation.size:
        return Outcome.OK
    if not conversation.timed_out:
        return Outcome.EMPTY
    if conversation.errno is not None:
        return Outcome.UNREACHABLE  # an ICMP error, the only thing that is told without ending a connection
    if phase is Phase.READ and not datagrams:
        return Outcome.SILENT
    return Outcome.TIMEOUT


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def banner_of(conversation: Ended, hit: Hit, outcome: Outcome, probe: str, transport: str) -> Banner:
    """The record."""
    icmp: dict[str, Any] | None = None
    if conversation.icmp is not None:
        kind, code, responder = conversation.icmp
        icmp = {"type": kind, "code": code, "responder": responder or None}
    errno = conversation.errno
    return Banner(
        scan=hit.scan,
        ts=conversation.started,
        ip=hit.ip,
        port=hit.port,
        outcome=outcome,
        phase=_PHASES[conversation.phase],
        vantage=hit.vantage,
        transport=transport,
        name=hit.name,
        probe=probe,
        hit=hit.id,
        errno=None if errno is None else errorcode.get(errno, str(errno)),
        icmp=icmp,
        connect=_seconds(conversation.connected),
        first_byte=_seconds(conversation.first_byte),
        ended=_seconds(conversation.ended),
        sent=conversation.sent,
        truncated=conversation.truncated,
        data=conversation.body,
        datagrams=[len(datagram) for datagram in conversation.data] if transport == "udp" else None,
    )


def blocked(hit: Hit, ts: int, probe: str, transport: str) -> Banner:
    """The record of a target that was not dialled, because a list forbids it. `ts` in microseconds."""
    return Banner(
        scan=hit.scan,
        ts=ts,
        ip=hit.ip,
        port=hit.port,
        outcome=Outcome.BLOCKED,
        phase=Phase.CONNECT,
        vantage=hit.vantage,
        transport=transport,
        name=hit.name,
        probe=probe,
        hit=hit.id,
    )
