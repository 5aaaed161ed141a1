"""A stage that opens one connection a hit: what all grabs have in common.

    decode   a line -> a hit that is ours (routing by port), or None
    admit    on a blocklist: answered at once
    take     asked again whether it is blocked, then dialled
    on_end   conversations that have ended, in batches -> records
    heed     standing orders: what is under way against one is ended by RST, and comes again when it may

No task belongs to a connection: `take` gives jobs to an engine (`stages.net.dialing`), the engine hands conversations
back. A grab says how it dials, what it makes of an ended conversation and of a refusal. What was our own fault (no
descriptor, no port, no route) is told to the runner as `local` and never becomes a record; what its code raises costs
one record.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from time import time
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from stages.core.errors import Confined, RecordError
from stages.core.orders import Standing
from stages.core.outcome import DeadReason, Outcome
from stages.core.records import Hit
from stages.core.starved import leave_if_starved

if TYPE_CHECKING:
    from stages.core.bus.base import Output
    from stages.core.ended import Ended
    from stages.core.job import Job
    from stages.core.metrics import Gauge
    from stages.core.routing import Routing

#: A line and the time in microseconds -> a hit; None: no target in it. Raises RecordError.
Reader = Callable[[bytes, int], Hit | None]

_MICROSECONDS: Final = 1_000_000

#: Seconds for which a record of a stopped campaign is put off, again and again until the order is lifted: it holds up
#: nobody else's, and of a million of them some ten thousand a second are looked at.
POSTPONE: Final = 60.0


class Engine(Protocol):
    """Holds conversations."""

    @property
    def open(self) -> int:
        """Sockets open now."""

    def abort_all(self) -> None: ...

    def recall(self, which: Callable[[Any], bool]) -> list[Any]:
        """End by RST what has a tag for which it holds; nothing of it is handed over. Returns the tags, and those of
        others that had to be ended too."""

    async def close(self) -> None: ...


class Tagged(Protocol):
    """A conversation that an engine hands back; `tag` is the job it was dialled with."""

    tag: Any
    fault: Exception | None


E = TypeVar("E", bound=Engine)
C = TypeVar("C", bound=Tagged)


class Grab(ABC, Generic[E, C]):
    """`stages.core.job.Stage` over an engine E that hands back conversations C."""

    name: str

    def __init__(
        self, *, read: Reader, routing: Routing, transport: str, blocked: Callable[[str], bool], opened: Gauge
    ) -> None:
        """`read`: of a shared log or of a pipe. `transport`: of the hits that are ours. `blocked`: whether an address
        is forbidden, asked at intake and again at dial. `opened` shows the connections open now."""
        self._read = read
        self._routing = routing
        self._transport = transport
        self._blocked = blocked
        self._opened = opened
        self._engine: E | None = None
        self._standing = Standing()

    # -- each grab's own ----------------------------------------------------------------------------------------

    @abstractmethod
    def open_engine(self) -> E:
        """The engine, which calls `on_end`; called inside the loop."""

    @abstractmethod
    def dial(self, engine: E, job: Job, hit: Hit) -> None:
        """Begin, with the job as tag. Raises ValueError: no target; OSError: confined."""

    @abstractmethod
    def finish(self, job: Job, conversation: C) -> None:
        """Name the outcome and finish the job."""

    @abstractmethod
    def refusal(self, hit: Hit, ts: int) -> Sequence[Output]:
        """What to publish about a target that is blocked. `ts` in microseconds."""

    def spent(self, hit: Hit, ts: int) -> Sequence[Output]:
        """What to publish about a target that may be sent no SYN any more. `ts` in microseconds."""
        return ()

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
        return self.refusal(hit, int(time() * _MICROSECONDS)) if self._blocked(hit.ip) else None

    # -- work ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        engine = self._engine = self.open_engine()
        self._opened.read = lambda: float(engine.open)

    def take(self, jobs: Sequence[Job]) -> None:
        """Raises Confined, which stops the stage: no other target would fare better."""
        engine = self._engine
        assert engine is not None
        for job in jobs:
            hit: Hit = job.record
            if self._blocked(hit.ip):
                job.done(self.refusal(hit, int(time() * _MICROSECONDS)), Outcome.BLOCKED)
                continue
            if self._standing.stops and self._standing.against(hit.scan) is not None:
                self._put_back(job)
                continue
            try:
                self.dial(engine, job, hit)
            except OSError as error:
                raise Confined(str(error)) from None
            except ValueError as error:
                job.dead(DeadReason.TARGET, str(error))

    def heed(self, standing: Standing) -> None:
        """These orders stand now; their networks, and lists that have changed, are in `blocked` already."""
        self._standing = standing
        if self._engine is not None:
            for job in self._engine.recall(self._is_against):
                self._put_back(job)

    def _is_against(self, job: Job) -> bool:
        hit: Hit = job.record
        return self._standing.against(hit.scan) is not None or self._blocked(hit.ip)

    def _put_back(self, job: Job) -> None:
        """It may not go on now."""
        hit: Hit = job.record
        if self._blocked(hit.ip):
            job.done(self.refusal(hit, int(time() * _MICROSECONDS)), Outcome.BLOCKED)
        elif self._standing.everything is None and self._standing.against(hit.scan) is not None:
            job.later(int((time() + POSTPONE) * _MICROSECONDS))
        else:
            job.recalled()

    def on_end(self, conversations: Sequence[C]) -> None:
        """For the engine: each of them once, from the loop."""
        for conversation in conversations:
            job: Job = conversation.tag
            fault = conversation.fault
            if fault is None:
                try:
                    self.finish(job, conversation)
                    continue
                except Exception as error:
                    fault = error
            leave_if_starved(fault)
            job.dead(DeadReason.BUG, f"{type(fault).__name__}: {fault}")

    def on_spent(self, tag: Any) -> None:
        """For the engine: a target that may not be dialled, as it has been sent all the SYNs that it may be."""
        job: Job = tag
        job.done(self.spent(job.record, int(time() * _MICROSECONDS)), Outcome.EXPIRED)

    @staticmethod
    def local(job: Job, conversation: Ended) -> None:
        """It was our own fault."""
        job.local(f"{conversation.phase}: {os.strerror(conversation.errno or 0)}")

    def cancel(self) -> None:
        if self._engine is not None:
            self._engine.abort_all()

    async def close(self) -> None:
        if self._engine is not None:
            engine, self._engine = self._engine, None
            self._opened.read = None
            await engine.close()
