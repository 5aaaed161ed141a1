"""A handshake that has ended, named, and the Tls record that is made of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stages.core.chains import chain_hashes
from stages.core.ended import Ended, failure_of, fields_of, phase_of, silence_of
from stages.core.outcome import Outcome, Phase
from stages.core.records import MAX_RECORD_BYTES, Hit, Tls
from stages.core.synack import synack_of
from stages.proto.tls.fingerprints import fingerprints_of

if TYPE_CHECKING:
    from stages.tlsgrab.handshake import Handshake

#: Certificates of one chain that a record holds; real ones have two to ten.
MAX_CHAIN: Final = 256

#: Bytes of DER in one record: as base64 a quarter of MAX_RECORD_BYTES is left for all else.
MAX_CHAIN_BYTES: Final = MAX_RECORD_BYTES * 3 // 4 * 3 // 4


def outcome_of(conversation: Ended, handshake: Handshake) -> tuple[Outcome, Phase]:
    """Name it: first what the bytes say, then what the kernel says, then what the silence says."""
    if conversation.connected is None:
        return failure_of(conversation) or Outcome.TIMEOUT, phase_of(conversation)
    handshake.give_up()
    outcome = handshake.outcome or failure_of(conversation) or silence_of(conversation)
    if outcome is None:  # closed, or cut, after some bytes that would have made a handshake
        outcome = Outcome.PROTOCOL
    return outcome, handshake.phase


def record_of(
    conversation: Ended,
    hit: Hit,
    handshake: Handshake,
    outcome: Outcome,
    phase: Phase,
    *,
    mode: str,
    connections: int = 1,
) -> Tls:
    """The record. A chain too large for one line keeps its hashes, up to MAX_CHAIN of them, and says so."""
    facts = handshake.facts()
    certificates = list(handshake.chain())
    notes = [facts["error"]] if facts["error"] is not None else []
    if conversation.truncated:
        notes.append(f"cut after {conversation.size} bytes")
    if len(certificates) > MAX_CHAIN:
        notes.append(f"a chain of {len(certificates)} certificates: the first {MAX_CHAIN} are kept")
        del certificates[MAX_CHAIN:]
    chain = chain_hashes(certificates)
    size = sum(map(len, certificates))
    if size > MAX_CHAIN_BYTES:
        notes.append(f"a chain of {size} bytes: only its hashes are kept")
        certificates = []
    facts["error"] = "; ".join(notes) or None
    return Tls(
        scan=hit.scan,
        ip=hit.ip,
        port=hit.port,
        outcome=outcome,
        phase=phase,
        vantage=hit.vantage,
        name=hit.name,
        mode=mode,
        hit=hit.id,
        chain=chain,
        certificates=certificates,
        connections=connections,
        synack=synack_of(hit.tcp, hit.ttl),
        **fingerprints_of(facts.get("server_hello")),
        **facts,
        **fields_of(conversation),
    )


def blocked(hit: Hit, ts: int, mode: str) -> Tls:
    """The record of a target that was not dialled, because a list forbids it. `ts` in microseconds."""
    return _undialled(hit, ts, mode, Outcome.BLOCKED)


def expired(hit: Hit, ts: int, mode: str) -> Tls:
    """The record of a hit that could not be continued, and no SYN is left to dial it. `ts` in microseconds."""
    return _undialled(hit, ts, mode, Outcome.EXPIRED)


def _undialled(hit: Hit, ts: int, mode: str, outcome: Outcome) -> Tls:
    return Tls(
        scan=hit.scan,
        ts=ts,
        ip=hit.ip,
        port=hit.port,
        outcome=outcome,
        phase=Phase.CONNECT,
        vantage=hit.vantage,
        name=hit.name,
        mode=mode,
        hit=hit.id,
        connections=0,
    )
