"""What the sender threads share: the next position, what is due to be probed again, and the pace.

Batches of positions are given out in order. In a scan with retries each batch comes round again `interval` seconds
after it was sent, and goes before new positions: so the interval holds exactly, the rate is kept over all packets, and
what waits to be probed again is bounded by what was sent within one interval. All rounds wait equally long, so that
one queue, in the order in which batches were finished, has them all in the order in which they are due.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stages.scanner.answered import Answered
from stages.scanner.rate import MIN_RATE, Pace, batch_size
from stages.scanner.sendlog import LOG_MARGIN, SendLog

#: A thread looks this often whether it is paused, stopped or out of time.
_LOOK_S: Final = 0.05
#: And so often whether those who are behind have caught up.
_BEHIND_S: Final = 0.001
#: How far the window of answered targets reaches back, in intervals at the rate asked for: what is late finds room.
_WINDOW_FACTOR: Final = 4
#: Seconds that are added to an interval for that: a batch may be on its way for so long.
_WINDOW_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Claim:
    """Positions first .. first + count - 1, whose probes are the attempts from `attempt` on."""

    number: int
    first: int
    count: int
    attempt: int = 0


class Claims:
    """Positions [first, last) given out in order, `batch` at a time, `retries` times more after that; thread-safe.

    `probes` packets a position and round count against `rate`; those that turned out not to be sent are given back.
    """

    def __init__(
        self,
        first: int,
        last: int,
        batch: int,
        probes: int,
        rate: float,
        *,
        retries: int = 0,
        interval: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = last
        self._batch = self._largest = batch
        self.probes = probes
        self._retries = retries
        self._interval = interval
        self._deadline: float | None = None
        self._pace = Pace(rate, clock())
        self._open: dict[int, int] = {}  # batch -> first position, until its last round is over; in order
        self._again: deque[tuple[float, int, int]] = deque()  # (due, batch, round)
        self._returning = 0  # batches under way that will come round again
        self._stopped = threading.Event()
        self._paused = False
        self._behind: Callable[[], bool] = _never
        self._packet_ns = 0.0  # what a packet of the last finished batch took
        self.next = first
        self.log = SendLog(retries + 1)
        self.log.begin_at(first)
        reach = rate * (interval + _WINDOW_SECONDS) * _WINDOW_FACTOR if rate else float("inf")
        self.answered = Answered(reach) if retries else None

    def begin(self, max_runtime: float | None) -> None:
        """Time runs from now; sending ends after `max_runtime` seconds (None: when all is sent)."""
        now = self._clock()
        self._pace.restart(now)
        self._deadline = None if max_runtime is None else now + max_runtime

    def take(self) -> Claim | None:
        """The next batch, when its time has come; None when there is nothing more to send."""
        while not self._stopped.is_set():
            found = self.look()
            if not isinstance(found, float):
                return found
            self._stopped.wait(min(found, _LOOK_S))
        return None

    def look(self) -> Claim | float | None:
        """The next batch; or, where its time has not come, the seconds after which to look again; None at the end."""
        with self._lock:
            now = self._clock()
            if self._over(now):
                return None
            wait = _LOOK_S if self._paused else self._pace.wait(now)
            if wait <= 0:
                if self._behind():
                    self._pace.restart(now)
                    return _BEHIND_S
                if self._again and self._again[0][0] <= now:
                    return self._claim_again(now)
                if self.next < self._last and self._room():
                    return self._claim(now)
                wait = self._again[0][0] - now if self._again else _LOOK_S
            return wait

    def _over(self, now: float) -> bool:
        if self._deadline is not None and now >= self._deadline:
            return True
        return self.next >= self._last and not self._again and not self._returning

    def _room(self) -> bool:
        """Whether log and window reach back to the oldest batch that will be probed again."""
        if self.answered is None or not self._open:
            return True
        number, first = next(iter(self._open.items()))
        return (
            self.log.number - number < self.log.slots - LOG_MARGIN
            and self.next + self._batch - first <= self.answered.size
        )

    def _claim(self, now: float) -> Claim:
        count = min(self._batch, self._last - self.next)
        number = self.log.begin(self.next, count)
        self._open[number] = self.next
        claim = Claim(number, self.next, count)
        self.next += count
        return self._begun(claim, 0, now)

    def _claim_again(self, now: float) -> Claim:
        _, number, turn = self._again.popleft()
        return self._begun(Claim(number, *self.log.batch(number), turn * self.probes), turn, now)

    def _begun(self, claim: Claim, turn: int, now: float) -> Claim:
        self._returning += turn < self._retries
        self._pace.sent(claim.count * self.probes, now)
        self._log_start(claim, claim.count * self.probes)
        return claim

    def sending(self, claim: Claim, rows: int | None = None) -> None:
        """The frames of the claim are made and go out now: `rows` of them, all unless told otherwise."""
        packets = claim.count * self.probes
        self._log_start(claim, packets if rows is None else rows)
        if rows is not None and rows < packets:
            with self._lock:
                self._pace.sent(rows - packets, self._clock())

    def _log_start(self, claim: Claim, rows: int) -> None:
        self.log.sending(claim.number, claim.attempt // self.probes, time.time_ns(), int(self._packet_ns * rows))

    def finished(self, claim: Claim, rows: int | None = None) -> None:
        """All packets of the claim have been handed to the kernel."""
        turn = claim.attempt // self.probes
        packets = claim.count * self.probes if rows is None else rows
        with self._lock:
            took = self.log.sent(claim.number, turn, time.time_ns())
            if packets:
                self._packet_ns = took / packets
            now = self._clock()
            if turn < self._retries:
                self._returning -= 1
                self._again.append((now + self._interval, claim.number, turn + 1))
            else:
                self.log.done(claim.number, now)
                del self._open[claim.number]

    @property
    def position(self) -> int:
        """All positions before it have been sent, as often as they are to be."""
        with self._lock:
            return next(iter(self._open.values()), self.next)

    def position_before(self, moment: float) -> int:
        """The newest position all of whose predecessors were sent, for the last time, before `moment` (monotonic)."""
        with self._lock:
            return self.log.position_before(moment, self.next)

    def heed(self, behind: Callable[[], bool]) -> None:
        """From now on no batch is given out while that holds; what is missed is not made up for. Any thread asks it."""
        self._behind = behind

    def pause(self) -> None:
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        with self._lock:
            self._paused = False
            self._pace.restart(self._clock())

    def change_rate(self, factor: float) -> float:
        """Multiply the rate, and the batch with it as far as rows were made for it; returns the new rate, 0 for none.

        Without a limit there is nothing to change.
        """
        with self._lock:
            if self._pace.rate > 0:
                self._pace.change(max(self._pace.rate * factor, MIN_RATE), self._clock())
                self._batch = min(max(batch_size(self._pace.rate) // self.probes, 1), self._largest)
            return self._pace.rate

    def stop(self) -> None:
        self._stopped.set()

    def wait_stopped(self, seconds: float) -> bool:
        return self._stopped.wait(seconds)


def _never() -> bool:
    """Nobody is waited for."""
    return False
