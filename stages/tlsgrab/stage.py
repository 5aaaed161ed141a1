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
from stages.core.ended import Ended, failure_of, fields_of, phase_of
from stages.core.errors import RecordError
from stages.core.outcome import DeadReason, Outcome, Phase
from stages.core.records import MAX_RECORD_BYTES, Hit, Tls, prefix_key
from stages.tlsgrab.openssl import FullHandshake, client_context, sni_of

if TYPE_CHECKING:
    from stages.core.job import Job
    from stages.core.routing import Routing
    from stages.net.conversation import Conversation
    from stages.net.dialing import Dialer
    from stages.tlsgrab.metrics import TlsgrabMetrics
    from stages.tlsgrab.settings import TlsgrabSettings

#: A line -> a hit; None: no target in it. Raises RecordError.
Reader = Callable[[bytes, int], Hit | None]

#: Seconds to connect, at least, where the hit's round-trip time makes it shorter: one lost SYN is survived.
LOWEST_CONNECT: Final = 2.0

#: Of the records; part of their id.
MODE: Final = "full"

_MICROSECONDS: Final = 1_000_000


def outcome_of(conversation: Ended, handshake: FullHandshake) -> tuple[Outcome, Phase]:
    """Name it: first what the bytes say, then what the kernel says."""
    failure = failure_of(conversation)
    if conversation.connected is None:
        return failure or Outcome.TIMEOUT, phase_of(conversation)
    said = handshake.outcome
    if said is not None and (said is not Outcome.PROTOCOL or failure is None):
        return said, handshake.phase
    if failure is not None:
        return failure, handshake.phase
    if conversation.timed_out:
        return (Outcome.TIMEOUT if conversation.size else Outcome.SILENT), handshake.phase
    if not conversation.size:
        return Outcome.EMPTY, handshake.phase
    return Outcome.PROTOCOL, handshake.phase


def record_of(conversation: Ended, hit: Hit, handshake: FullHandshake, outcome: Outcome, phase: Phase) -> Tls:
    """The record. A chain too large for one line keeps its hashes and says so."""
    facts = handshake.facts()
    certificates = list(handshake.chain())
    chain = [sha256(der).hexdigest() for der in certificates]
    if sum(map(len, certificates)) * 4 // 3 > MAX_RECORD_BYTES * 3 // 4:
        facts["error"] = facts["error"] or f"chain of {sum(map(len, certificates))} bytes: only its hashes are kept"
        certificates = []
    if conversation.truncated and facts["error"] is None:
        facts["error"] = f"cut after {conversation.size} bytes"
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
        self._server_name = settings.server_name
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

        dialer = self._dialer = Dialer(self._on_end, keep_data=False)
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
                handshake = self._handshake(sni_of(hit.name or self._server_name))
                dialer.dial(
                    hit.ip,
                    hit.port,
                    handshake,
                    (job, handshake),
                    connect_timeout=connect_timeout(hit.rtt, LOWEST_CONNECT, self._highest),
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
