"""Receiving: one thread from the packet ring to validated answers, a block at a time.

    ring block --packets--> table --classify (probe module)--> ANSWER rows --place--> position, no stray targets
               --round_trips--> rtt --Seen--> repeat --> on_answers

Only Python calls of whole kernels: nothing is done for a single packet here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from stages.net import ring as rings
from stages.net.jit import kernel
from stages.scanner.answers import ANSWER, SUCCESSES, AnswerArray, with_payload
from stages.scanner.claims import Claims
from stages.scanner.dedup import Seen, keys_of
from stages.scanner.frames import Constants
from stages.scanner.mixed import Reading
from stages.scanner.order import NOWHERE, Order, index_of, own_position, position_of
from stages.scanner.probes.base import ProbeModule
from stages.scanner.sendlog import round_trips

#: How long the thread waits for a block before it looks whether the scan is over.
_LOOK_MS: Final = 50


@kernel
def place(order: Any, out: Any, count: Any, limit: Any) -> Any:
    """Give the first `count` rows their position in the shard; drop rows of no target, of one that another shard has,
    or of one not probed yet (position >= limit).

    Returns the number of rows kept; they are moved to the front.
    """
    kept = 0
    for i in range(count):
        index = index_of(order, np.uint64(out[i].address), np.uint64(out[i].port))
        if index == NOWHERE:
            continue
        position = own_position(order, position_of(order, index))
        if position >= limit:  # NOWHERE too
            continue
        out[i].position = position
        if kept != i:
            out[kept] = out[i]
        kept += 1
    return kept


@kernel
def gather(data: Any, out: Any, count: Any, into: Any) -> Any:
    """Copy what the first `count` rows point to out of the block, one behind the other; then they point there.

    `into` is as large as a block, and what the rows point to does not overlap. Returns the bytes copied.
    """
    size = np.int64(0)
    for i in range(count):
        at, length = np.int64(out[i].data_at), np.int64(out[i].data_size)
        if size + length > into.size:
            length = np.int64(0)
            out[i].data_size = 0
        for k in range(length):
            into[size + k] = data[at + k]
        out[i].data_at = size
        size += length
    return size


@dataclass(slots=True)
class Tally:
    """What the receive thread counted."""

    received: int = 0
    validated: int = 0
    duplicates: int = 0
    drops: int = 0


class Receiver(threading.Thread):
    """The receive thread. Ends when `over()` says so; then its ring may be closed."""

    def __init__(
        self,
        ring: rings.Ring,
        probe: ProbeModule,
        order: Order,
        constants: Constants,
        claims: Claims,
        seen: Seen,
        on_answers: Callable[[AnswerArray], None],
        *,
        cooling: Callable[[], bool],
        over: Callable[[], bool],
        until: Callable[[], float] = lambda: math.inf,
        lock: threading.Lock | None = None,
        tap: Callable[[Any], None] | None = None,
        readings: Sequence[Reading] = (),
    ) -> None:
        """Once it is `over`, what waits in the ring is read still; of that, what came after `until` (seconds since the
        epoch) is no answer. `readings`: of the parts of a mixed scan, instead of `probe`, `order` and `constants`
        alone. `lock`: shared by threads that share `seen` and `on_answers`. `tap` sees every block as it came."""
        super().__init__(name="receive", daemon=True)
        self._ring = ring
        self._order = order
        self._readings = readings or (Reading(probe, order, constants),)
        self._ends = [0] * len(self._readings)  # of each part's rows
        self._claims = claims
        self._seen = seen
        self._on_answers = on_answers
        self._cooling = cooling
        self._over = over
        self._until = until
        self._lock = lock if lock is not None else threading.Lock()
        self._tap = tap
        self._table = np.zeros((rings.MAX_PACKETS, rings.COLUMNS), np.int64)
        self._out: AnswerArray = np.zeros(rings.MAX_PACKETS * len(self._readings), ANSWER)
        with_data = sum(reading.probe.data for reading in self._readings)
        self._bytes = np.zeros(rings.BLOCK_BYTES * with_data, np.uint8)
        self._payload = b""
        self.tally = Tally()
        self.error: BaseException | None = None

    def warm_up(self) -> None:
        """Compile or load every kernel now, on a block without packets, so that none is waited for later."""
        self._read(np.zeros(rings.BLOCK_BYTES, np.uint8))
        self._finish(0)
        Seen("full", 1).mark(np.zeros(1, np.uint64))
        if self._claims.answered is not None:
            self._claims.answered.among(0, 1)

    def run(self) -> None:
        try:
            while not self._over():
                self._take(_LOOK_MS, math.inf)
            # A thread that had no CPU is behind: what came in time counts. More than a ring full of it there is not.
            for _ in range(rings.BLOCKS):
                if not self._take(0, self._until()):
                    break
        except BaseException as error:
            self.error = error
            self._claims.stop()

    def _take(self, milliseconds: int, until: float) -> bool:
        """The next block, if there is one within that time."""
        block = self._ring.wait(milliseconds)
        if block is not None:
            found = self._read(block)
            if self._tap is not None:
                self._tap(block)
            del block
            self._ring.release()
            with self._lock:
                answers = self._finish(found, until)
                if answers.size:
                    self._on_answers(answers)
            self.tally.drops = self._ring.count_drops()
            return True
        self.tally.drops = self._ring.count_drops()
        return False

    def _read(self, block: Any) -> int:
        seen, rows = rings.packets(block, self._table)
        self.tally.received += int(seen)
        found = 0
        for k, (probe, _, constants) in enumerate(self._readings):
            found += int(probe.classify(block, self._table, rows, constants, self._out[found:]))
            self._ends[k] = found
        if self._bytes.size:
            self._payload = self._bytes[: gather(block, self._out, found, self._bytes)].tobytes()
        return found

    def _finish(self, found: int, until: float = math.inf) -> AnswerArray:
        claims = self._claims
        limit = np.uint64(claims.next)
        kept, begin = 0, 0
        for (_, order, _), end in zip(self._readings, self._ends, strict=True):
            own = self._out[begin : min(end, found)]
            placed = int(place(order, own, own.size, limit))
            if begin != kept:
                self._out[kept : kept + placed] = own[:placed].copy()
            kept, begin = kept + placed, end
        out = self._out[:kept].copy()
        if until < math.inf:
            out = out[out["ts"] <= until * 1e6]
            kept = out.size
        log = claims.log
        round_trips(out, kept, log.firsts, log.counts, log.starts, log.ends, log.oldest, log.number, claims.probes)
        if claims.answered is not None:
            claims.answered.mark(out["position"])
        out["cooldown"] = self._cooling()
        out["repeat"] = self._seen.mark(keys_of(out["position"], np.isin(out["kind"], SUCCESSES)))
        self.tally.validated += kept
        self.tally.duplicates += int(out["repeat"].sum())
        return with_payload(out, self._payload) if self._payload else out
