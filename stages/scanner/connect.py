"""The connect engine: an ordinary TCP connection to each target. No privilege, any operating system.

The same targets in the same order as the packet engine, and the same hit records without the details of the SYN-ACK.
A connection that is established says that the port is open and is reset at once (a half-open connection would cost
the target more); a RST says that it is closed; an ICMP error is told apart where the kernel passes it on. What does
not answer in time is no answer, as with packets.

The engine lives in the loop of its thread: a tick every few milliseconds dials as many as rate, limit and pause allow
(`stages.net.dialing` does the rest). Positions are handed out in order; the oldest one that is still open bounds what
a checkpoint may claim.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

import numpy as np

from stages.core.concurrency import Concurrency
from stages.core.errors import Confined, HostError
from stages.core.outcome import Outcome, Phase, of_error
from stages.core.pacing import Pace, backoff
from stages.net.confine import ConfinedError
from stages.net.conversation import Conversation
from stages.net.dialing import Dialer
from stages.net.ownaddress import toward
from stages.scanner.answers import ICMP, RST, SYNACK
from stages.scanner.permutation import Permutation
from stages.scanner.rate import MIN_RATE
from stages.scanner.rows import Answer, connected
from stages.scanner.sharding import own_positions
from stages.scanner.space import Space
from stages.scanner.summary import Counters
from stages.scanner.targets import Ipv6Space

#: Seconds between two looks at the rate. Shorter ticks cost more than they smooth.
TICK: Final = 0.01

#: Targets looked up at once.
LOOKUP: Final = 4_096

#: Tries of a target that a limit of ours kept from being dialled, until the scan gives up.
LOCAL_TRIES: Final = 8
FIRST_BACKOFF: Final = 0.1
MAX_BACKOFF: Final = 5.0

#: Silent targets that wait for their next try, at most; then nothing new is dialled. Some 30 MB.
MAX_AGAIN: Final = 100_000

#: So many targets in a row that this host would not dial at all (no route, not permitted): it will not dial any other.
MAX_REFUSED_HERE: Final = 1_000

#: An open connection is of no further use to us.
_MAX_BYTES: Final = 1

#: Limits of this host that may pass: the target is tried again. Any other refusal of our own kernel is about that one
#: address (a broadcast address, no route to it) and is counted as a failure to send.
LIMITS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EAGAIN}
)


class Targeted(Protocol):
    """Index -> target. `size` targets."""

    @property
    def size(self) -> int: ...
    def look_up(self, indexes: Sequence[int]) -> list[tuple[int | str, str, int]]:
        """(address as in a row, address as text, port) of each index."""


class Ipv4Targets:
    """A Space, for one who dials."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.size = space.size

    def look_up(self, indexes: Sequence[int]) -> list[tuple[int | str, str, int]]:
        addresses, ports = self._space.at(np.array(indexes, np.uint64))
        return [
            (address, f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}", port)
            for address, port in zip(addresses.tolist(), ports.tolist(), strict=True)
        ]


class Ipv6Targets:
    """A list of IPv6 addresses, for one who dials."""

    def __init__(self, space: Ipv6Space) -> None:
        self._space = space
        self.size = space.size

    def look_up(self, indexes: Sequence[int]) -> list[tuple[int | str, str, int]]:
        return [(host, host, port) for host, port in map(self._space.at, indexes)]


@dataclass(frozen=True, slots=True)
class ConnectPlan:
    """What to dial."""

    targets: Targeted
    permutation: Permutation
    rate: float  #: connections per second; 0: unlimited
    connections: int  #: open at once, at most
    timeout: float  #: seconds to be established
    syns: int | None = None  #: that one try may take; None: as many as the kernel repeats
    retries: int = 0  #: so many times more to a target that stays silent
    retry_interval: float = 1.0  #: seconds from the end of one try to the next
    first: int = 0  #: positions [first, last) of the shard
    last: int | None = None
    max_runtime: float | None = None
    shard: int = 0
    shards: int = 1


class _HangUp:
    """The dialogue of one who only wanted to know whether somebody is there."""

    idle = 0.0
    total = 3600.0

    def opening(self) -> bytes:
        return b""

    def wait(self) -> float:
        return 0.0

    def silence(self) -> bytes | None:
        return None

    def receive(self, data: bytes) -> bytes | None:
        return None

    def farewell(self) -> bytes:
        return b""

    def eof(self) -> bytes | None:
        return None


@dataclass(slots=True)
class _Probe:
    """One target on its way."""

    position: int
    address: int | str
    host: str
    port: int
    tries: int = 0
    attempt: int = 0


class ConnectEngine:
    """One slice of a scan by connect(2). `on_answers` is called in the loop's thread."""

    name = "connect"

    def __init__(
        self,
        plan: ConnectPlan,
        on_answers: Callable[[list[Answer]], None],
        *,
        blocked: Callable[[str], bool] = lambda host: False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._plan = plan
        self._on_answers = on_answers
        self._blocked = blocked
        self._clock = clock
        self._last = own_positions(plan.targets.size, plan.shard, plan.shards) if plan.last is None else plan.last
        self._dialogue = _HangUp()
        self._pace = Pace(plan.rate)
        self._limit = Concurrency(plan.connections)
        self._looked_up: deque[_Probe] = deque()
        self._next_lookup = plan.first
        self._open: dict[int, _Probe] = {}  # insertion order is position order
        self._retry: deque[_Probe] = deque()
        self._retry_at = 0.0
        self._again: deque[tuple[float, _Probe]] = deque()  # silent ones, in the order in which they are due
        self._dialer: Dialer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._stopped = False
        self._began = 0.0
        self._refused_here = 0
        self._sent = self._failures = self._ended = self._answered = 0
        self._seen = (0.0, 0)  # time and count of the last look at the rate
        self._measured = 0.0
        self.rate = plan.rate  #: connections per second at most; 0: unlimited
        self._handed_out = plan.first
        self.failure: HostError | None = None  #: why the engine gave up

    # -- for the app --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to dial in the running loop. Raises HostError without a descriptor left."""
        try:
            self._dialer = Dialer(self._on_end, reset=True, keep_data=False)
        except OSError as error:
            raise HostError(f"the connect engine cannot start: {error.strerror or error}") from None
        self._began = self._clock()
        self._seen = (self._began, 0)
        self._tick()

    def change_rate(self, factor: float) -> None:
        """Multiply the rate, if there is one."""
        if self.rate > 0:
            self.rate = max(self.rate * factor, MIN_RATE)
            self._pace.set_rate(self.rate)

    def pause(self) -> None:
        """Dial nothing new for now; answers still come in."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def cut_short(self) -> None:
        self.stop_sending()

    def halt(self) -> None:
        """The kernel repeats no SYN of ours; who has not answered yet is dialled again when the scan goes on."""
        self.stop_sending()
        if self._dialer is not None:
            self._retry.extend(self._dialer.recall(lambda tag: True))

    def renew(self) -> None:
        """There is nothing to keep up."""

    @property
    def continuing(self) -> None:
        """A connection that was made is closed at once."""

    @property
    def not_quiet(self) -> str:
        return "ordinary connections leave nothing half open"

    def stop_sending(self) -> None:
        """Dial nothing new any more."""
        self._stopped = True

    @property
    def sending(self) -> bool:
        """Whether there are targets left that will be dialled."""
        more = self._handed_out < self._last or bool(self._retry) or bool(self._again)
        # A connection under way may have to be tried again.
        return not self._stopped and (more or (self._plan.retries > 0 and bool(self._open)))

    @property
    def position(self) -> int:
        """All positions before it have been dialled; one that waits for another try has not."""
        waiting = [*self._retry, *(probe for _, probe in self._again)]
        return min((probe.position for probe in waiting), default=self._handed_out)

    @property
    def done(self) -> bool:
        """Nothing is sent any more and nothing can come in."""
        return not self.sending and (self._dialer is None or not self._dialer.in_flight)

    def settled(self, now: float, wait: float) -> int:
        """The newest position before which every answer is in."""
        del now, wait  # each connection's end is known: there is nothing to wait for
        return next(iter(self._open), self._handed_out)

    @property
    def counters(self) -> Counters:
        return Counters(
            sent=self._sent,
            send_failures=self._failures,
            received=self._ended,
            validated=self._answered,
            rate=self._measured,
        )

    def describe(self) -> dict[str, object]:
        """Who dials, for the log and the start record."""
        about: dict[str, object] = {
            "engine": self.name, "connections": self._plan.connections, "timeout": self._plan.timeout,
        }  # fmt: skip
        first = self._plan.targets.look_up([0])[0][1] if self._plan.targets.size else None
        source = None if first is None else toward(first)
        return about if source is None else {**about, "source_ip": source}

    async def close(self) -> None:
        """Drop what is open."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dialer is not None:
            await self._dialer.close()

    # -- dialling -----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._clock()
        self._measure(now)
        if self._plan.max_runtime is not None and now - self._began >= self._plan.max_runtime:
            self._stopped = True
        if not self._stopped and not self._paused:
            self._dial_some(now)
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _dial_some(self, now: float) -> None:
        assert self._dialer is not None
        room = self._pace.room(now, self._limit.limit - self._dialer.in_flight)
        dialled = 0
        while dialled < room:
            probe = self._next(now)
            if probe is None:
                break
            if self._blocked(probe.host):  # the lists may have changed since the targets were laid out
                self._open.pop(probe.position, None)
                continue
            try:
                self._dialer.dial(
                    probe.host,
                    probe.port,
                    self._dialogue,
                    probe,
                    connect_timeout=self._plan.timeout,
                    syns=self._plan.syns,
                    max_bytes=_MAX_BYTES,
                )
            except ConfinedError as error:
                self._fail(Confined(error.strerror or str(error)))
                return
            dialled += 1
        if dialled:
            self._pace.take(now, dialled)

    def _next(self, now: float) -> _Probe | None:
        if self._retry and now >= self._retry_at:
            return self._retry.popleft()
        if self._again and now >= self._again[0][0]:
            return self._again.popleft()[1]
        if len(self._again) >= MAX_AGAIN:
            return None
        if not self._looked_up and not self._look_up():
            return None
        probe = self._looked_up.popleft()
        self._open[probe.position] = probe
        self._handed_out = probe.position + 1
        return probe

    def _look_up(self) -> bool:
        first = self._next_lookup
        count = min(LOOKUP, self._last - first)
        if count <= 0:
            return False
        own = np.arange(first, first + count, dtype=np.uint64)
        positions = own * np.uint64(self._plan.shards) + np.uint64(self._plan.shard)
        indexes = self._plan.permutation.at(positions).tolist()
        found = self._plan.targets.look_up(indexes)
        self._looked_up.extend(_Probe(first + i, *target) for i, target in enumerate(found))
        self._next_lookup = first + count
        return True

    def _measure(self, now: float) -> None:
        since, sent = self._seen
        if now - since >= 1.0:
            self._measured = (self._sent - sent) / (now - since)
            self._seen = (now, self._sent)

    # -- answers ------------------------------------------------------------------------------------------------

    def _on_end(self, ended: list[Conversation]) -> None:
        answers = []
        well = 0
        for conversation in ended:
            probe = conversation.tag
            assert isinstance(probe, _Probe)
            if conversation.connected is None and self._kept_here(conversation, probe):
                continue
            well += 1
            self._sent += 1
            self._ended += 1
            self._refused_here = 0
            answer = self._answer(conversation, probe)
            if answer is None and probe.attempt < self._plan.retries and not self._stopped:
                probe.attempt += 1
                self._again.append((self._clock() + self._plan.retry_interval, probe))
                continue
            del self._open[probe.position]
            if answer is not None:
                answers.append(answer)
        if well:
            self._limit.ended(well)
        if answers:
            self._answered += len(answers)
            self._on_answers(answers)

    def _kept_here(self, conversation: Conversation, probe: _Probe) -> bool:
        """Whether this host kept the probe from leaving; then it is tried again or given up."""
        number = conversation.errno
        if not conversation.failed or number is None:
            return False
        if of_error(number, Phase.CONNECT, icmp=_icmp(conversation), left_host=conversation.left_host) != Outcome.LOCAL:
            return False
        self._failures += 1
        if number in LIMITS:
            now = self._clock()
            self._limit.failed(now)
            probe.tries += 1
            if probe.tries >= LOCAL_TRIES:
                self._fail(
                    HostError(f"connections cannot be opened: {os.strerror(number)} (tried {LOCAL_TRIES} times)")
                )
            self._retry.append(probe)
            self._retry_at = now + backoff(probe.tries - 1, FIRST_BACKOFF, MAX_BACKOFF)
            return True
        del self._open[probe.position]
        self._refused_here += 1
        none_left = not self._sent and not self._open and not self.sending
        if self._refused_here >= MAX_REFUSED_HERE or none_left:
            self._fail(HostError(f"this host refuses to dial any of the targets: {os.strerror(number)}"))
        return True

    def _answer(self, conversation: Conversation, probe: _Probe) -> Answer | None:
        if conversation.connected is not None:
            kind, seconds = SYNACK, conversation.connected
        elif conversation.icmp is not None:
            kind, seconds = ICMP, conversation.ended or 0.0
        elif conversation.failed and conversation.errno is not None:
            if of_error(conversation.errno, Phase.CONNECT) is not Outcome.REFUSED:
                return None  # a timeout, or a neighbour that does not answer: nothing came from the target
            kind, seconds = RST, conversation.ended or 0.0
        else:
            return None
        icmp = conversation.icmp
        return connected(
            probe.address,
            probe.port,
            kind,
            ts=conversation.started + round(seconds * 1e6),
            rtt=seconds,
            position=probe.position,
            icmp=None if icmp is None or kind != ICMP else icmp[:2],
            responder=None if icmp is None or kind != ICMP else icmp[2],
            cooldown=not self.sending,
            attempt=probe.attempt,
        )

    def _fail(self, failure: HostError) -> None:
        if self.failure is None:
            self.failure = failure
        self._stopped = True


def _icmp(conversation: Conversation) -> tuple[int, int] | None:
    return None if conversation.icmp is None else conversation.icmp[:2]
