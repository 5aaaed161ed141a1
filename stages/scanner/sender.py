"""Sending: threads that claim batches of positions in order, and the log of what was sent when.

`Claims` is what the threads share: the next position, the pace, and a ring of the last batches with their times. From
it come the position that a checkpoint may trust and the time at which any recent probe left (position -> batch -> time,
interpolated within the batch), so that no bit of the probe is spent on a timestamp.
"""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from stages.net.jit import kernel
from stages.net.packetsocket import Wire, interface_error
from stages.scanner.rate import Pace

#: Batches remembered: over a minute at 1.5 million packets a second, minutes at lower rates; 8 MiB.
LOG_BATCHES: Final = 1 << 18
#: The oldest entries may be overwritten while the receiver reads them; it leaves this many alone.
_LOG_MARGIN: Final = 256

#: A full transmit queue empties within microseconds to milliseconds: the wait doubles between these.
_BACKOFF_MIN_S: Final = 50e-6
_BACKOFF_MAX_S: Final = 5e-3
#: A driver sends what it has taken within milliseconds; one that does not tell is not waited for longer.
_DRAIN_S: Final = 1.0
#: A thread looks this often whether it is paused, stopped or out of time.
_LOOK_S: Final = 0.05

_RETRIED: Final = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.ENOMEM})
_IN_FLIGHT: Final = np.inf


class Rows(Protocol):
    """Makes frames (`frames.FrameBuilder`)."""

    def fill(self, first: int, count: int, milliseconds: int = 0, block: int = 0) -> int: ...


class SendFailed(OSError):
    """Sending failed for good: the interface went away, or --max-sendto-failures was exceeded."""


@dataclass(frozen=True, slots=True)
class Claim:
    number: int
    first: int
    count: int


class Claims:
    """Positions [first, last) given out in order, `batch` at a time; thread-safe.

    `probes` packets a position count against `rate`.
    """

    def __init__(self, first: int, last: int, batch: int, probes: int, rate: float) -> None:
        self._lock = threading.Lock()
        self._first = first
        self._last = last
        self._batch = batch
        self._probes = probes
        self._deadline: float | None = None
        self._pace = Pace(rate, time.monotonic())
        self._active: dict[int, int] = {}
        self._stopped = threading.Event()
        self._paused = False
        self._floor = first
        self.next = first
        self.number = 0
        self.firsts = np.zeros(LOG_BATCHES, np.uint64)
        self.counts = np.zeros(LOG_BATCHES, np.int64)
        self.starts = np.zeros(LOG_BATCHES, np.int64)  # ns since the epoch, as the ring's stamps
        self.ends = np.zeros(LOG_BATCHES, np.int64)
        self._done = np.zeros(LOG_BATCHES, np.float64)  # monotonic; infinity while in flight
        self._packet_ns = 0.0  # what a packet of the last finished batch took

    def begin(self, max_runtime: float | None) -> None:
        """Time runs from now; sending ends after `max_runtime` seconds (None: when all is sent)."""
        now = time.monotonic()
        self._pace.restart(now)
        self._deadline = None if max_runtime is None else now + max_runtime

    def take(self) -> Claim | None:
        """The next batch, when its time has come; None when there is nothing more to send."""
        while not self._stopped.is_set():
            with self._lock:
                now = time.monotonic()
                if self.next >= self._last or (self._deadline is not None and now >= self._deadline):
                    return None
                wait = _LOOK_S if self._paused else self._pace.wait(now)
                if wait <= 0:
                    return self._claim(now)
            self._stopped.wait(min(wait, _LOOK_S))
        return None

    def _claim(self, now: float) -> Claim:
        count = min(self._batch, self._last - self.next)
        claim = Claim(self.number, self.next, count)
        self._pace.sent(count * self._probes, now)
        slot = claim.number % LOG_BATCHES
        self.firsts[slot], self.counts[slot] = claim.first, count
        self._done[slot] = _IN_FLIGHT
        self.starts[slot] = start = time.time_ns()
        self.ends[slot] = start + int(self._packet_ns * count * self._probes)  # a guess until it is known
        self._active[claim.number] = claim.first
        self.number += 1
        self.next = claim.first + count
        return claim

    def sending(self, claim: Claim) -> None:
        """The frames of the claim are made and go out now."""
        slot = claim.number % LOG_BATCHES
        self.starts[slot] = start = time.time_ns()
        self.ends[slot] = start + int(self._packet_ns * claim.count * self._probes)

    def finished(self, claim: Claim) -> None:
        """All packets of the claim have been handed to the kernel."""
        slot = claim.number % LOG_BATCHES
        with self._lock:
            self.ends[slot] = time.time_ns()
            self._packet_ns = (self.ends[slot] - self.starts[slot]) / (claim.count * self._probes)
            self._done[slot] = time.monotonic()
            del self._active[claim.number]

    @property
    def position(self) -> int:
        """All positions before it have been sent."""
        with self._lock:
            return min(self._active.values(), default=self.next)

    def position_before(self, moment: float) -> int:
        """The newest position all of whose predecessors were sent before `moment` (monotonic)."""
        with self._lock:
            oldest = max(0, self.number - LOG_BATCHES)
            slots = np.arange(oldest, self.number) % LOG_BATCHES
            late = np.flatnonzero(self._done[slots] >= moment)
            position = int(self.firsts[slots[late[0]]]) if late.size else self.next
            if late.size and late[0] == 0 and oldest:
                position = self._floor  # what came before is forgotten: the last answer still holds
            self._floor = max(self._floor, position)
            return position

    def pause(self) -> None:
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        with self._lock:
            self._paused = False
            self._pace.restart(time.monotonic())

    def stop(self) -> None:
        self._stopped.set()

    def wait_stopped(self, seconds: float) -> bool:
        return self._stopped.wait(seconds)

    def oldest_for_reading(self) -> int:
        return max(0, self.number - LOG_BATCHES + _LOG_MARGIN) if self.number > LOG_BATCHES - _LOG_MARGIN else 0


class Sender(threading.Thread):
    """One sender thread: claim, fill, send; retry what the kernel did not take."""

    def __init__(self, number: int, claims: Claims, rows: Rows, wire: Wire, interface: str, max_failures: int) -> None:
        """`max_failures`: so many failed calls are borne (-1: any number)."""
        super().__init__(name=f"send-{number}", daemon=True)
        self._claims = claims
        self._rows = rows
        self._wire = wire
        self._interface = interface
        self._max_failures = max_failures
        self.sent = 0
        self.failures = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while (claim := self._claims.take()) is not None:
                while (block := self._wire.free()) < 0:
                    if self._claims.wait_stopped(_BACKOFF_MIN_S):
                        return
                rows = self._rows.fill(claim.first, claim.count, time.time_ns() // 1_000_000, block=block)
                self._claims.sending(claim)
                if not self._send(rows):
                    return  # stopped while the queue was full: the claim stays unfinished, the position before it
                self._claims.finished(claim)
            self._drain()
        except BaseException as error:
            self.error = error
            self._claims.stop()

    def _drain(self) -> None:
        """What a driver took but has not sent yet would go with the socket."""
        end = time.monotonic() + _DRAIN_S
        while not self._wire.drain() and time.monotonic() < end:
            time.sleep(_BACKOFF_MIN_S)

    def _send(self, rows: int) -> bool:
        done, backoff = 0, _BACKOFF_MIN_S
        while done < rows:
            sent, number = self._wire.send(done, rows - done)
            done += sent
            self.sent += sent
            if sent:
                backoff = _BACKOFF_MIN_S
            if number:
                self.failures += 1
                self._judge(number)
                if self._claims.wait_stopped(backoff):
                    return False
                backoff = min(backoff * 2, _BACKOFF_MAX_S)
        return True

    def _judge(self, number: int) -> None:
        if number not in _RETRIED:
            error = interface_error(number, self._interface)
            raise SendFailed(error.errno, error.strerror) from error
        if 0 <= self._max_failures < self.failures:
            raise SendFailed(number, f"{self.failures} send calls failed on {self._interface}")


@kernel
def round_trips(
    out: Any, count: Any, firsts: Any, counts: Any, starts: Any, ends: Any, oldest: Any, newest: Any
) -> None:
    """Fill `rtt` of out[:count]: arrival less the time at which the probe left; NaN if its batch is not remembered.

    The batches oldest .. newest - 1 are in rings; batches are in the order of their first positions.
    """
    size = firsts.size
    for i in range(count):
        position = out[i].position
        low, high = oldest, newest
        while low < high:  # the first batch that begins behind the position
            middle = (low + high) >> 1
            if firsts[middle % size] <= position:
                low = middle + 1
            else:
                high = middle
        slot = (low - 1) % size
        if low == oldest or position - firsts[slot] >= np.uint64(counts[slot]):
            out[i].rtt = np.nan
            continue
        part = (np.float64(position - firsts[slot]) + 0.5) / np.float64(counts[slot])
        left = starts[slot] + part * (ends[slot] - starts[slot])
        out[i].rtt = max((out[i].ts * 1000.0 - left) * 1e-9, 0.0)
