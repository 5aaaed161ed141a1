"""A conversation that has ended, named: outcome, phase, and the Banner record. Pure.

    not connected    refused, unreachable, timeout, local     as the kernel said
    connected        reset       a RST ended it; what came before is kept
                     unreachable an ICMP error came, and then nothing
                     protocol    the bytes break the protocol of a named dialogue, wherever it ended
                     ok          bytes came, however it ended otherwise (closed, idle, limit, `--until`)
                     empty       closed without a byte
                     silent      open, and no byte in time
                     timeout     we could not even send

Over UDP silence is `timeout`: nothing shows that anybody is there. A datagram, even an empty one, is `ok`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from stages.core.ended import Ended, failure_of, fields_of, phase_of, silence_of
from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner

if TYPE_CHECKING:
    from stages.core.records import Hit


class Told(Protocol):
    """A dialogue that knows with whom it spoke (`stages.proto.dialogues.base`)."""

    service: str | None
    facts: dict[str, Any]
    broken: str | None

    def over(self) -> None: ...


def told_of(dialogue: Any) -> Told | None:
    """The dialogue of a conversation that has ended, if it is one that tells."""
    if not hasattr(dialogue, "facts"):
        return None
    told: Told = dialogue
    told.over()
    return told


def outcome_of(conversation: Ended, told: Told | None = None, *, datagrams: bool = False) -> Outcome:
    """Name it. `told`: what was said, where the dialogue tells. `datagrams`: over UDP."""
    if told is not None and told.broken is not None:
        return Outcome.PROTOCOL
    failure = failure_of(conversation)
    if failure is not None:
        return failure
    if conversation.data or conversation.size:
        return Outcome.OK
    return silence_of(conversation, datagrams=datagrams) or Outcome.EMPTY


def banner_of(
    conversation: Ended, hit: Hit, outcome: Outcome, probe: str, transport: str, told: Told | None = None
) -> Banner:
    """The record."""
    return Banner(
        scan=hit.scan,
        ip=hit.ip,
        port=hit.port,
        outcome=outcome,
        phase=phase_of(conversation),
        vantage=hit.vantage,
        transport=transport,
        name=hit.name,
        probe=probe,
        hit=hit.id,
        sent=conversation.sent,
        truncated=conversation.truncated,
        data=conversation.body,
        datagrams=[len(datagram) for datagram in conversation.data] if transport == "udp" else None,
        service=told.service if told is not None else None,
        facts=told.facts or None if told is not None else None,
        **fields_of(conversation),
    )


def blocked(hit: Hit, ts: int, probe: str, transport: str) -> Banner:
    """The record of a target that was not dialled, because a list forbids it. `ts` in microseconds."""
    return _undialled(hit, ts, probe, transport, Outcome.BLOCKED)


def expired(hit: Hit, ts: int, probe: str) -> Banner:
    """The record of a hit that could not be continued, and no SYN is left to dial it. `ts` in microseconds."""
    return _undialled(hit, ts, probe, "tcp", Outcome.EXPIRED)


def _undialled(hit: Hit, ts: int, probe: str, transport: str, outcome: Outcome) -> Banner:
    return Banner(
        scan=hit.scan,
        ts=ts,
        ip=hit.ip,
        port=hit.port,
        outcome=outcome,
        phase=Phase.CONNECT,
        vantage=hit.vantage,
        transport=transport,
        name=hit.name,
        probe=probe,
        hit=hit.id,
    )
