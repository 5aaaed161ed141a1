"""Hits in, conversations out: the scanner's own connection where it can be gone on with, a new one where it cannot.

    hit --> fresh, ours, young, held? --yes--> raw:   net.continuation (user-space TCP)
                    |                  or      adopt: net.adopting, then net.dialing (a socket of the kernel)
                    no --> net.dialing, within the SYNs that are left for that target; none left: `on_spent`

It has the face of a Dialer, and `begin` besides. What goes on with connections is opened with the first hit, for only
then the scanner's lease on the kernel's silence is known: its addresses and ports are those of the scan. It is opened
in a thread, by who still has the capabilities. Why something is dialled instead is counted, and said once a reason.

A hit that is too old is reset first: its server would go on repeating the SYN-ACK, and our kernel is quiet.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from stages.net.conversation import Conversation, Dialogue
from stages.net.dialing import Dialer
from stages.net.halfopen import HALFOPEN, HitLike, half_open, row_of

if TYPE_CHECKING:
    from stages.net.halfopen import HalfOpenArray

log = logging.getLogger("longline.net.onward")

#: Seconds between two renewals of the lease (`stages.net.firewall.EXPIRY` is a minute).
RENEW: Final = 5.0
#: Seconds between two looks whether there is room again for a connection that waits.
LOOK: Final = 0.05
#: The window scale that a SYN offered whose hit does not say: ours and ZMap's by default (option set `windows`).
USUAL_WSCALE: Final = 8
#: The window of a peer whose hit does not say: every stack has more, and its first ACK tells.
LEAST_WINDOW: Final = 1024
#: Why a hit is dialled.
FURTHER: Final = "it takes another connection"
NO_SYNACK: Final = "it holds no SYN-ACK, or not who sent the SYN"
ELSEWHERE: Final = "it was found from another host"
OLD: Final = "it is too old"
UNHELD: Final = "no lease covers its source address and port"
SCALED: Final = "its SYN offered another window scale"

_MICROSECONDS: Final = 1_000_000


class Way(Protocol):
    """How half-open connections are gone on with. Used in the loop's thread, but for `open`."""

    name: str

    def open(self, half: Any, wscale: int) -> None:
        """Make ready for hits like this one (a row of HALFOPEN); `wscale`: that its SYN offered. Blocks.

        Raises OSError with a text for people: it cannot be done here.
        """

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[list[Conversation]], None],
        on_refused: Callable[[list[Waiting], OSError], None],
    ) -> None:
        """`on_refused` gets those that were taken and could not be gone on with after all."""

    def covers(self, address: str, port: int) -> bool:
        """Whether the kernel is quiet towards that address and port of ours."""

    def talk(self, waiting: Waiting) -> bool:
        """Go on; False: there is no room now."""

    def reset(self, half: HalfOpenArray) -> None: ...

    def renew(self) -> None:
        """Raises OSError: the lease is lost."""

    @property
    def in_flight(self) -> int: ...

    def abort_all(self) -> None: ...

    def abandon(self) -> list[Waiting]:
        """`abort_all`, and give back what was taken and has not ended."""

    def recall(self, which: Callable[[Any], bool]) -> list[Any]:
        """End what has a tag for which it holds, and if need be all else; returns the tags of what was ended."""

    def close(self) -> None: ...


@dataclass(slots=True)  # not frozen: one is made for each hit, and freezing costs more than the rest of it
class Waiting:
    """A hit to be gone on with, while the way is opened and until there is room."""

    hit: HitLike
    half: bytes  #: of HALFOPEN
    dialogue: Dialogue
    tag: object
    connect_timeout: float
    max_bytes: int


class Onward:
    """See the module's docstring. Belongs to one loop."""

    def __init__(
        self,
        dialer: Dialer,
        on_end: Callable[[list[Conversation]], None],
        on_spent: Callable[[Any], None],
        way: Way | None,
        *,
        host: str,
        max_age: float,
        syns: int | None,
        run: Callable[[Callable[[], None]], None] = lambda work: work(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_spent` gets the tag of a hit that may not be dialled any more. `way` None: everything is dialled. `host`:
        the name of this host, as hits have it. `max_age`: seconds. `syns`: to one target, at most. `run` does a piece
        of work with the capabilities that the process began with."""
        self._dialer = dialer
        self._on_end = on_end
        self._on_spent = on_spent
        self._way = way
        self._asked = way is not None
        self._host = host
        self._max_age = max_age
        self._syns = syns
        self._run = run
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Waiting] = deque()
        self._opening: asyncio.Future[None] | None = None
        self._ready = False
        self._wscale = USUAL_WSCALE
        self._again: asyncio.TimerHandle | None = None
        self._renewing: asyncio.TimerHandle | None = None
        self.dialled: Counter[str] = Counter()  #: why hits were dialled

    # -- the face of a Dialer -------------------------------------------------------------------------------------

    @property
    def open(self) -> int:
        """Connections open now."""
        return self._dialer.open + (self._way.in_flight if self._ready and self._way is not None else 0)

    def dial(
        self, host: str, port: int, dialogue: Dialogue, tag: object, *, connect_timeout: float, max_bytes: int
    ) -> None:
        self._dialer.dial(host, port, dialogue, tag, connect_timeout=connect_timeout, max_bytes=max_bytes)

    def abort_all(self) -> None:
        self._waiting.clear()
        if self._ready and self._way is not None:
            self._way.abort_all()
        self._dialer.abort_all()

    def recall(self, which: Callable[[Any], bool]) -> list[Any]:
        """As `stages.net.dialing.Dialer.recall`; where connections are ended together, the tags of all of them."""
        tags = [each.tag for each in self._waiting if which(each.tag)]
        self._waiting = deque(each for each in self._waiting if not which(each.tag))
        if self._ready and self._way is not None:
            tags += self._way.recall(which)
        return tags + self._dialer.recall(which)

    async def close(self) -> None:
        if self._opening is not None:
            await asyncio.wait([self._opening])
        for handle in (self._again, self._renewing):
            if handle is not None:
                handle.cancel()
        self._waiting.clear()
        await self._dialer.close()
        if self._ready and self._way is not None:
            self._ready = False
            await asyncio.to_thread(self._way.close)

    # -- hits -----------------------------------------------------------------------------------------------------

    def begin(
        self,
        hit: HitLike,
        dialogue: Dialogue,
        tag: object,
        *,
        connect_timeout: float,
        max_bytes: int,
        dials: int = 0,
        more: bool = False,
    ) -> None:
        """Talk with a target. `dials`: connections to it that were made before, for the same record; `more`: another
        one may follow.

        Raises ValueError: numbers that no SYN-ACK has, or no address; ConfinedError.
        """
        half = b""
        if self._asked and not dials and hit.tcp is not None and hit.source is not None:
            half = half_open(_whole(hit))  # wrong numbers are told, whether or not there is a way
        reason = self._reason(hit, dials)
        if reason is None:
            waiting = Waiting(hit, half, dialogue, tag, connect_timeout, max_bytes)
            if not (self._ready and not self._waiting and self._go_on(waiting)):
                self._wait(waiting)
            return
        self._dial(hit, reason, dialogue, tag, connect_timeout, max_bytes, dials, more)

    def _reason(self, hit: HitLike, dials: int) -> str | None:
        """Why it cannot be continued, as far as that is known without the lease."""
        if self._way is None:
            return ""
        if dials:
            return FURTHER
        if hit.tcp is None or hit.source is None:
            return NO_SYNACK
        if (host := hit.source.get("host")) and host != self._host:
            return ELSEWHERE
        return None

    def _wait(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        if self._ready:
            if self._again is None:
                self._again = self._loop.call_later(LOOK, self._look)
        elif self._opening is None:
            way = self._way
            assert way is not None
            self._wscale = wscale = _offered(waiting.hit)
            half = row_of(waiting.half)
            self._opening = self._loop.run_in_executor(None, self._run, lambda: way.open(half, wscale))
            self._opening.add_done_callback(self._opened)

    def _opened(self, opening: asyncio.Future[None]) -> None:
        self._opening = None
        try:
            opening.result()
        except OSError as error:
            self._give_up(error.strerror or str(error))
        else:
            assert self._way is not None
            self._way.start(self._loop, self._on_end, self._refused)
            self._ready = True
            self._renew()
        self._look()

    def _give_up(self, why: str) -> None:
        assert self._way is not None
        log.warning("hits are dialled anew (via connect), not continued (via %s): %s", self._way.name, why)
        self._way = None
        self._ready = False

    def _look(self) -> None:
        """At those who wait: until the first for whom there is no room."""
        self._again = None
        while self._waiting:
            if not self._go_on(self._waiting[0]):
                self._again = self._loop.call_later(LOOK, self._look)
                return
            self._waiting.popleft()

    def _go_on(self, each: Waiting) -> bool:
        """False: there is no room now."""
        reason = self._late_reason(each)
        if reason is not None:
            self._dial_late(each, reason)
            return True
        assert self._way is not None
        return self._way.talk(each)

    def _refused(self, batch: list[Waiting], error: OSError) -> None:
        for each in batch:
            self._dial_late(each, error.strerror or str(error))

    def _dial_late(self, each: Waiting, reason: str) -> None:
        try:
            self._dial(each.hit, reason, each.dialogue, each.tag, each.connect_timeout, each.max_bytes, 0, False)
        except OSError as error:  # confined: nothing else fares better, and the next `begin` says so
            log.error("%s", error.strerror or error)
            self._on_spent(each.tag)

    def _late_reason(self, each: Waiting) -> str | None:
        """Why it cannot be continued, now that all is known."""
        way, hit = self._way, each.hit
        if way is None:
            return ""
        assert hit.source is not None
        assert hit.tcp is not None
        if not way.covers(str(hit.source["ip"]), int(hit.source["port"])):
            return UNHELD
        if self._clock() - hit.ts / _MICROSECONDS > self._max_age:
            way.reset(np.frombuffer(each.half, HALFOPEN))
            return OLD
        if hit.tcp.get("wscale") is not None and _offered(hit) != self._wscale:
            way.reset(np.frombuffer(each.half, HALFOPEN))
            return SCALED
        return None

    def _dial(
        self,
        hit: HitLike,
        reason: str,
        dialogue: Dialogue,
        tag: object,
        connect_timeout: float,
        max_bytes: int,
        dials: int,
        more: bool,
    ) -> None:
        if reason and reason is not FURTHER:
            if reason not in self.dialled:
                log.warning("a hit is dialled anew (via connect): %s", reason)
            self.dialled[reason] += 1
        left = None
        if self._syns is not None:
            left = self._syns - _spent(hit) - dials
            if left <= 0:
                self._on_spent(tag)
                return
            if more or dials:
                left = 1
        self._dialer.dial(
            hit.ip, hit.port, dialogue, tag, connect_timeout=connect_timeout, max_bytes=max_bytes, syns=left
        )

    def _renew(self) -> None:
        if not self._ready or self._way is None:
            return
        try:
            self._way.renew()
        except OSError as error:
            way = self._way
            why = error.strerror or str(error)
            self._give_up(why)
            left = way.abandon()  # nobody else will ever tell what became of them
            self._loop.run_in_executor(None, way.close)
            for each in left:
                self._dial_late(each, why)
            return
        self._renewing = self._loop.call_later(RENEW, self._renew)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A hit whose window is known."""

    ts: int
    ip: str
    port: int
    rtt: float | None
    source: dict[str, Any] | None
    tcp: dict[str, Any] | None


def _whole(hit: HitLike) -> HitLike:
    """The hit, with a window that any peer has where it does not tell (`extended_file` of old ZMaps)."""
    if hit.tcp is None or "window" in hit.tcp:
        return hit
    return _Whole(hit.ts, hit.ip, hit.port, hit.rtt, hit.source, {**hit.tcp, "window": LEAST_WINDOW})


def _offered(hit: HitLike) -> int:
    """The window scale that the hit's SYN offered; -1: none."""
    source = hit.source or {}
    if "wscale" not in source:
        return USUAL_WSCALE
    wscale = source["wscale"]
    return wscale if isinstance(wscale, int) and 0 <= wscale <= 14 else -1


def _spent(hit: HitLike) -> int:
    """SYNs that the scan has sent to the hit's target, at most; a target that somebody listed has had none."""
    syns = (hit.source or {}).get("syns")
    if isinstance(syns, int) and syns >= 0:
        return syns
    return 1 if hit.tcp is not None else 0
