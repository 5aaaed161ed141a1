"""Receiving: one thread from the packet ring to validated answers, a block at a time.

    ring block --packets--> table --classify (probe module)--> ANSWER rows --place--> position, no stray targets
               --round_trips--> rtt --Seen--> repeat --> on_answers

Only Python calls of whole kernels: nothing is done for a single packet here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from stages.net import ring as rings
from stages.net.jit import kernel
from stages.scanner import order as orders
from stages.scanner.answers import ANSWER, SUCCESSES, AnswerArray
from stages.scanner.dedup import Seen
from stages.scanner.frames import Constants
from stages.scanner.probes.base import ProbeModule
from stages.scanner.sender import Claims, round_trips

#: How long the thread waits for a block before it looks whether the scan is over.
_LOOK_MS: Final = 50


@kernel
def place(order: Any, out: Any, count: Any, limit: Any) -> Any:
    """Give the first `count` rows their position; drop rows of no target or of one not probed yet (position >= limit).

    Returns the number of rows kept; they are moved to the front.
    """
    kept = 0
    for i in range(count):
        index = orders.index_of(order, np.uint64(out[i].address), np.uint64(out[i].port))
        if index == orders.NOWHERE:
            continue
        position = orders.position_of(order, index)
        if position >= limit:
            continue
        out[i].position = position
        if kept != i:
            out[kept] = out[i]
        kept += 1
    return kept


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
        order: orders.Order,
        constants: Constants,
        claims: Claims,
        seen: Seen,
        on_answers: Callable[[AnswerArray], None],
        *,
        cooling: Callable[[], bool],
        over: Callable[[], bool],
        lock: threading.Lock | None = None,
        tap: Callable[[Any], None] | None = None,
    ) -> None:
        """`lock`: shared by threads that share `seen` and `on_answers`. `tap` sees every block as it came."""
        super().__init__(name="receive", daemon=True)
        self._ring = ring
        self._probe = probe
        self._order = order
        self._constants = constants
        self._claims = claims
        self._seen = seen
        self._on_answers = on_answers
        self._cooling = cooling
        self._over = over
        self._lock = lock if lock is not None else threading.Lock()
        self._tap = tap
        self._table = np.zeros((rings.MAX_PACKETS, rings.COLUMNS), np.int64)
        self._out: AnswerArray = np.zeros(rings.MAX_PACKETS, ANSWER)
        self.tally = Tally()
        self.error: BaseException | None = None

    def warm_up(self) -> None:
        """Compile or load every kernel now, on a block without packets, so that none is waited for later."""
        self._read(np.zeros(rings.BLOCK_BYTES, np.uint8))
        self._finish(0)
        Seen("full", 1).mark(np.zeros(1, np.uint64))

    def run(self) -> None:
        try:
            while not self._over():
                block = self._ring.wait(_LOOK_MS)
                if block is None:
                    self.tally.drops = self._ring.count_drops()
                    continue
                found = self._read(block)
                if self._tap is not None:
                    self._tap(block)
                del block
                self._ring.release()
                with self._lock:
                    answers = self._finish(found)
                    if answers.size:
                        self._on_answers(answers)
                self.tally.drops = self._ring.count_drops()
            self.tally.drops = self._ring.count_drops()
        except BaseException as error:
            self.error = error
            self._claims.stop()

    def _read(self, block: Any) -> int:
        seen, rows = rings.packets(block, self._table)
        self.tally.received += int(seen)
        return int(self._probe.classify(block, self._table, rows, self._constants, self._out))

    def _finish(self, found: int) -> AnswerArray:
        claims = self._claims
        kept = int(place(self._order, self._out, found, np.uint64(claims.next)))
        out = self._out[:kept].copy()
        round_trips(
            out, kept, claims.firsts, claims.counts, claims.starts, claims.ends,
            claims.oldest_for_reading(), claims.number,
        )  # fmt: skip
        out["cooldown"] = self._cooling()
        keys = out["position"] * np.uint64(2) + np.isin(out["kind"], SUCCESSES).astype(np.uint64)
        out["repeat"] = self._seen.mark(keys)
        self.tally.validated += kept
        self.tally.duplicates += int(out["repeat"].sum())
        return out
