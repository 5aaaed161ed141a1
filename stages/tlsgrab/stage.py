"""tlsgrab as the runner sees it: hits in, handshakes, tls records out.

As in bannergrab no task belongs to a connection: `take` gives handshakes to the engine, the engine hands ended
conversations back in batches. What was our own fault is told to the runner as `local` and never becomes a record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from time import time
from typing import TYPE_CHECKING, Any, Final

from stages.core.bus.base import Output
from stages.core.connecting import connect_timeout
from stages.core.ended import Ended, failure_of, fields_of, phase_of, silence_of
from stages.core.errors import RecordError
from stages.core.outcome import DeadReason, Outcome, Phase
from stages.core.records import MAX_RECORD_BYTES, Hit, Tls, prefix_key
from stages.tlsgrab.openssl import FullHandshake, client_context
from stages.tlsgrab.sni import sni_of

if TYPE_CHECKING:
    from stages.core.job import Job
    from stages.core.routing import Routing
    from stages.net.conversation import Conversation
    from stages.net.dialing import Dialer
    from stages.tlsgrab.metrics import TlsgrabMetrics
    from stages.tlsgrab.settings import TlsgrabSettings

#: A line -> a hit; None: no target in it. Raises RecordError.
Reader = Callable[[bytes, int], Hit | None]

#: Of the records; part of their id.
MODE: Final = "full"

#: Certificates of one chain that a record holds; real ones have two to ten.
MAX_CHAIN: Final = 256

#: Bytes of DER in one record: as base64 a quarter of MAX_RECORD_BYTES is left for all else.
MAX_CHAIN_BYTES: Final = MAX_RECORD_BYTES * 3 // 4 * 3 // 4

#: Sockets handled in one turn of the loop: a flight costs 0.2 to 0.4 ms of OpenSSL, so all else of the loop waits some
#: milliseconds at most.
MAX_EVENTS: Final = 16

_MICROSECONDS: Final = 1_000_000


def outcome_of(conversation: Ended, handshake: FullHandshake) -> tuple[Outcome, Phase]:
    """Name it: first what the bytes say, then what the kernel says, then what the silence says."""
    if conversation.connected is None:
        return failure_of(conversation) or Outcome.TIMEOUT, phase_of(conversation)
    outcome = handshake.outcome or failure_of(conversation) or silence_of(conversation)
    if outcome is None:  # closed, or cut, after some bytes that would have made a handshake
        outcome = Outcome.PROTOCOL
    return outcome, handshake.phase


def record_of(conversation: Ended, hit: Hit, handshake: FullHandshake, outcome: Outcome, phase: Phase) -> Tls:
    """The record. A chain too large for one line keeps its hashes, up to MAX_CHAIN of them, and says so."""
    facts = handshake.facts()
    certificates = list(handshake.chain())
    notes = [facts["error"]] if facts["error"] is not None else []
    if conversation.truncated:
        notes.append(f"cut after {conversation.size} bytes")
    if len(certificates) > MAX_CHAIN:
        notes.append(f"a chain of {len(certificates)} certificates: the first {MAX_CHAIN} are kept")
        del certificates[MAX_CHAIN:]
    chain = [sha256(der).hexdigest() for der in certificates]
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
        mode=MODE,
        hit=hit.id,
        chain=chain,
        certificates=certificates,
        **facts,
        **fields_of(conversation),
    )


def blocked(hit: Hit, ts: int) -> Tls:
    """The record of a target that was not dialled, because a list forbids it. `ts` in microseconds."""
    return Tls(
        scan=hit.scan,
        ts=ts,
        ip=hit.ip,
        port=hit.port,
        outcome=Outcome.BLOCKED,
        phase=Phase.CONNECT,
        vantage=hit.vantage,
        name=hit.name,
        mode=MODE,
        hit=hit.id,
    )


class TlsgrabStage:
    """`stages.core.job.Stage`."""

    name = "tlsgrab"

    def __init__(
        self,
        settings: TlsgrabSettings,
        *,
        topic: str,
        read: Reader,
        routing: Routing,
        blocked: Callable[[str], bool],
        metrics: TlsgrabMetrics,
    ) -> None:
        """`topic`: where tls records go. `read`: of a shared log or of a pipe. `blocked`: whether an address is
        forbidden, asked at intake and again at dial."""
        self._topic = topic
        self._read = read
        self._routing = routing
        self._blocked = blocked
        self._metrics = metrics
        self._server_name = sni_of(settings.server_name)
        self._lowest = settings.conn_timeout_min
        self._highest = settings.conn_timeout
        self._max_bytes = settings.max_bytes
        self._dialer: Dialer | None = None
        timeout = settings.handshake_timeout
        self._handshake = partial(
            FullHandshake,
            client_context(settings.min_version, settings.max_version, settings.alpn),
            first=timeout,
            idle=timeout,
            total=settings.conn_timeout + timeout,
        )

    # -- intake -------------------------------------------------------------------------------------------------

    def decode(self, line: bytes) -> Hit | None:
        hit = self._read(line, int(time() * _MICROSECONDS))
        if hit is None or not hit.success or hit.repeat or hit.transport != "tcp":
            return None
        if not self._routing.takes(hit.port):
            return None
        if hit.port == 0:
            raise RecordError(DeadReason.TARGET, "port 0: nothing listens on it")
        return hit

    def target(self, record: Any) -> str | None:
        hit: Hit = record
        return hit.ip

    def admit(self, record: Any) -> Sequence[Output] | None:
        hit: Hit = record
        return self._refusal(hit) if self._blocked(hit.ip) else None

    def _refusal(self, hit: Hit) -> Sequence[Output]:
        record = blocked(hit, int(time() * _MICROSECONDS))
        self._metrics.ended(record)
        return (self._output(record),)

    def _output(self, record: Tls) -> Output:
        return Output(self._topic, prefix_key(record.ip), record.dump())

    # -- work ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        from stages.net.dialing import Dialer
        from stages.net.poller import open_poller

        poller = partial(open_poller, max_events=MAX_EVENTS)
        dialer = self._dialer = Dialer(self._on_end, keep_data=False, open_poller=poller)
        self._metrics.open.read = lambda: float(dialer.open)

    def take(self, jobs: Sequence[Job]) -> None:
        dialer = self._dialer
        assert dialer is not None
        for job in jobs:
            hit: Hit = job.record
            if self._blocked(hit.ip):
                job.done(self._refusal(hit), Outcome.BLOCKED)
                continue
            try:
                handshake = self._handshake(sni_of(hit.name) or self._server_name)
                dialer.dial(
                    hit.ip,
                    hit.port,
                    handshake,
                    (job, handshake),
                    connect_timeout=connect_timeout(hit.rtt, self._lowest, self._highest),
                    max_bytes=self._max_bytes,
                )
            except OSError as error:  # confined
                job.local(str(error))
            except ValueError as error:  # a name or an address that is none
                job.dead(DeadReason.TARGET, str(error))

    def _on_end(self, conversations: list[Conversation]) -> None:
        for conversation in conversations:
            job: Job
            handshake: FullHandshake
            job, handshake = conversation.tag  # type: ignore[misc]  # what `take` gave
            if conversation.fault is not None:
                job.dead(DeadReason.BUG, f"{type(conversation.fault).__name__}: {conversation.fault}")
                continue
            outcome, phase = outcome_of(conversation, handshake)
            if outcome is Outcome.LOCAL:
                self._metrics.handshakes.add(1, outcome)
                job.local(f"{conversation.phase}: {os.strerror(conversation.errno or 0)}")
                continue
            hit: Hit = job.record
            record = record_of(conversation, hit, handshake, outcome, phase)
            self._metrics.ended(record)
            job.done((self._output(record),), outcome)

    def cancel(self) -> None:
        if self._dialer is not None:
            self._dialer.abort_all()

    async def close(self) -> None:
        if self._dialer is not None:
            dialer, self._dialer = self._dialer, None
            self._metrics.open.read = None
            await dialer.close()
