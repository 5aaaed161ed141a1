"""tlsgrab as the runner sees it: hits in, handshakes, tls records out (`stages.core.grab`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stages.core.bus.base import Output
from stages.core.connecting import connect_timeout
from stages.core.ended import Ended, failure_of, fields_of, phase_of, silence_of
from stages.core.grab import Grab, Reader
from stages.core.outcome import Outcome, Phase
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

#: Of the records; part of their id.
MODE: Final = "full"

#: Certificates of one chain that a record holds; real ones have two to ten.
MAX_CHAIN: Final = 256

#: Bytes of DER in one record: as base64 a quarter of MAX_RECORD_BYTES is left for all else.
MAX_CHAIN_BYTES: Final = MAX_RECORD_BYTES * 3 // 4 * 3 // 4

#: Sockets handled in one turn of the loop: a flight costs 0.2 to 0.4 ms of OpenSSL, so all else of the loop waits some
#: milliseconds at most.
MAX_EVENTS: Final = 16


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


class TlsgrabStage(Grab["Dialer", "Conversation"]):
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
        render: Callable[[Tls], bytes] = Tls.dump,
    ) -> None:
        """`topic`: where tls records go; `render`: a record -> its line; the rest is described at `Grab`."""
        super().__init__(read=read, routing=routing, transport="tcp", blocked=blocked, opened=metrics.open)
        self._topic = topic
        self._render = render
        self._metrics = metrics
        self._server_name = sni_of(settings.server_name)
        self._lowest = settings.conn_timeout_min
        self._highest = settings.conn_timeout
        self._max_bytes = settings.max_bytes
        timeout = settings.handshake_timeout
        self._handshake = partial(
            FullHandshake,
            client_context(settings.min_version, settings.max_version, settings.alpn),
            first=timeout,
            idle=timeout,
            total=settings.conn_timeout + timeout,
        )

    def open_engine(self) -> Dialer:
        from stages.net.dialing import Dialer
        from stages.net.poller import open_poller

        return Dialer(self.on_end, keep_data=False, open_poller=partial(open_poller, max_events=MAX_EVENTS))

    def dial(self, engine: Dialer, job: Job, hit: Hit) -> None:
        engine.dial(
            hit.ip,
            hit.port,
            self._handshake(sni_of(hit.name) or self._server_name),
            job,
            connect_timeout=connect_timeout(hit.rtt, self._lowest, self._highest),
            max_bytes=self._max_bytes,
        )

    def finish(self, job: Job, conversation: Conversation) -> None:
        handshake = conversation.dialogue
        assert isinstance(handshake, FullHandshake)
        outcome, phase = outcome_of(conversation, handshake)
        if outcome is Outcome.LOCAL:
            self._metrics.handshakes.add(1, outcome)
            self.local(job, conversation)
            return
        record = record_of(conversation, job.record, handshake, outcome, phase)
        self._metrics.ended(record)
        job.done((self._output(record),), outcome)

    def refusal(self, hit: Hit, ts: int) -> Sequence[Output]:
        record = blocked(hit, ts)
        self._metrics.ended(record)
        return (self._output(record),)

    def _output(self, record: Tls) -> Output:
        return Output(self._topic, prefix_key(record.ip), self._render(record))
