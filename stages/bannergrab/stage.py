"""bannergrab as the runner sees it: hits in, conversations, banners out.

The stage owns no loop and no task: `take` gives jobs to an engine, the engine hands conversations back in batches,
and each becomes one record. What was our own fault (no descriptor, no port, no route) is told to the runner as
`local` and never becomes a record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from stages.bannergrab.connect import connect_timeout
from stages.bannergrab.endings import banner_of, blocked, outcome_of
from stages.core.bus.base import Output
from stages.core.errors import Confined, RecordError
from stages.core.outcome import DeadReason, Outcome
from stages.core.records import Hit, prefix_key
from stages.net.confine import ConfinedError

if TYPE_CHECKING:
    from stages.bannergrab.formats import Format
    from stages.bannergrab.metrics import BannergrabMetrics
    from stages.bannergrab.settings import BannergrabSettings
    from stages.core.job import Job
    from stages.core.routing import Routing
    from stages.net.conversation import Conversation, Dialogue
    from stages.proto.banner import Script

_MICROSECONDS: Final = 1_000_000

#: A line -> a hit; None: no target in it. Raises RecordError.
Reader = Callable[[bytes, int], Hit | None]


class Engine(Protocol):
    """Holds conversations (`net.dialing.Dialer`, `bannergrab.udp.UdpDialer`)."""

    @property
    def open(self) -> int: ...

    def dial(
        self, host: str, port: int, dialogue: Dialogue, tag: object, *, connect_timeout: float, max_bytes: int
    ) -> None: ...

    def abort_all(self) -> None: ...

    async def close(self) -> None: ...


OpenEngine = Callable[[Callable[[list["Conversation"]], None]], Engine]


class BannergrabStage:
    """`stages.core.job.Stage`."""

    name = "bannergrab"

    def __init__(
        self,
        settings: BannergrabSettings,
        script: Script,
        *,
        topic: str,
        read: Reader,
        routing: Routing,
        blocked: Callable[[str], bool],
        render: Format,
        metrics: BannergrabMetrics,
        open_engine: OpenEngine,
    ) -> None:
        """`topic`: where banners go. `read`: of a shared log or of a pipe. `blocked`: whether an address is forbidden,
        asked at intake and again at dial. `open_engine` is called at `start`, inside the loop."""
        self._script = script
        self._topic = topic
        self._read = read
        self._routing = routing
        self._blocked = blocked
        self._render = render
        self._metrics = metrics
        self._open_engine = open_engine
        self._engine: Engine | None = None
        self._transport = settings.over
        self._lowest = settings.conn_timeout_min
        self._highest = settings.conn_timeout
        self._max_bytes = settings.max_bytes
        self._probe = script.probe
        self._shared = script.begin("") if script.stateless else None

    # -- intake -------------------------------------------------------------------------------------------------

    def decode(self, line: bytes) -> Hit | None:
        hit = self._read(line, int(time() * _MICROSECONDS))
        if hit is None or not hit.success or hit.repeat:
            return None
        if hit.transport != self._transport or not self._routing.takes(hit.port):
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
        banner = blocked(hit, int(time() * _MICROSECONDS), self._probe, self._transport)
        self._metrics.ended(banner)
        line = self._render(banner)
        return () if line is None else (Output(self._topic, prefix_key(hit.ip), line),)

    # -- work ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        engine = self._engine = self._open_engine(self._on_end)
        self._metrics.open.read = lambda: float(engine.open)

    def take(self, jobs: Sequence[Job]) -> None:
        """Raises Confined, which stops the stage: no other target would fare better."""
        engine = self._engine
        assert engine is not None
        shared = self._shared
        for job in jobs:
            hit: Hit = job.record
            if self._blocked(hit.ip):
                job.done(self._refusal(hit), Outcome.BLOCKED)
                continue
            try:
                engine.dial(
                    hit.ip,
                    hit.port,
                    shared if shared is not None else self._script.begin(hit.ip),
                    job,
                    connect_timeout=connect_timeout(hit.rtt, self._lowest, self._highest),
                    max_bytes=self._max_bytes,
                )
            except ConfinedError as error:
                raise Confined(str(error)) from None
            except ValueError as error:
                job.dead(DeadReason.TARGET, str(error))

    def _on_end(self, conversations: list[Conversation]) -> None:
        transport = self._transport
        probe = self._probe
        topic = self._topic
        render = self._render
        count = self._metrics.ended
        datagrams = transport == "udp"
        for conversation in conversations:
            job: Job = conversation.tag  # type: ignore[assignment]  # what `take` gave
            if conversation.fault is not None:
                job.dead(DeadReason.BUG, f"{type(conversation.fault).__name__}: {conversation.fault}")
                continue
            outcome = outcome_of(conversation, datagrams=datagrams)
            hit: Hit = job.record
            banner = banner_of(conversation, hit, outcome, probe, transport)
            count(banner)
            if outcome is Outcome.LOCAL:
                job.local(f"{conversation.phase}: {os.strerror(conversation.errno or 0)}")
                continue
            line = render(banner)
            job.done(() if line is None else (Output(topic, prefix_key(hit.ip), line),), outcome)

    def cancel(self) -> None:
        if self._engine is not None:
            self._engine.abort_all()

    async def close(self) -> None:
        if self._engine is not None:
            engine, self._engine = self._engine, None
            self._metrics.open.read = None
            await engine.close()
