"""The log of what was sent when: position -> batch -> time, for the last batches.

From it come the round-trip time of an answer, interpolated within its batch, so that no bit of a probe is spent on a
timestamp, and the position that a checkpoint may trust. A batch keeps its slot through all rounds of a scan with
retries; its times are kept for each round.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net.jit import kernel

#: Batches remembered: over a minute at 1.5 million packets a second, minutes at lower rates; 8 MiB a round.
LOG_BATCHES: Final = 1 << 18
#: With more rounds than this fewer batches are remembered, so that the log stays below 64 MiB.
_FULL_ROUNDS: Final = 8
#: The oldest entries may be overwritten while the receiver reads them; it leaves this many alone.
LOG_MARGIN: Final = 256

IN_FLIGHT: Final = np.inf


class SendLog:
    """A ring of batches, numbered in the order of their positions. Written under its owner's lock, read without."""

    def __init__(self, rounds: int = 1) -> None:
        """`rounds`: how often a silent target is probed."""
        self.slots = LOG_BATCHES
        while self.slots * rounds > LOG_BATCHES * _FULL_ROUNDS:
            self.slots //= 2
        self.number = 0  #: of the next batch
        self.firsts = np.zeros(self.slots, np.uint64)
        self.counts = np.zeros(self.slots, np.int64)
        self.starts = np.zeros((rounds, self.slots), np.int64)  # ns since the epoch, as the ring's stamps; 0: not yet
        self.ends = np.zeros((rounds, self.slots), np.int64)
        self._done = np.zeros(self.slots, np.float64)  # monotonic, of the last round; infinity until then
        self._floor = 0  # the last answer of `position_before`

    def begin_at(self, position: int) -> None:
        """The first batch will begin there."""
        self._floor = position

    def begin(self, first: int, count: int) -> int:
        """A new batch; returns its number."""
        slot = self.number % self.slots
        self.starts[:, slot] = 0
        self.firsts[slot], self.counts[slot] = first, count
        self._done[slot] = IN_FLIGHT
        self.number += 1
        return self.number - 1

    def batch(self, number: int) -> tuple[int, int]:
        """(first position, count) of a batch that is remembered."""
        slot = number % self.slots
        return int(self.firsts[slot]), int(self.counts[slot])

    def sending(self, number: int, turn: int, start: int, expected: int) -> None:
        """Round `turn` of the batch goes out at `start` (ns) and will take about `expected` ns."""
        slot = number % self.slots
        self.ends[turn, slot] = start + expected  # a guess until it is known
        self.starts[turn, slot] = start

    def sent(self, number: int, turn: int, end: int) -> int:
        """The round is out; returns the ns that it took."""
        slot = number % self.slots
        self.ends[turn, slot] = end
        return end - int(self.starts[turn, slot])

    def done(self, number: int, moment: float) -> None:
        """All rounds of the batch are over."""
        self._done[number % self.slots] = moment

    def position_before(self, moment: float, behind: int) -> int:
        """The newest position all of whose predecessors were done before `moment` (monotonic); `behind`: the first
        that was not given out."""
        oldest = max(0, self.number - self.slots)
        slots = np.arange(oldest, self.number) % self.slots
        late = np.flatnonzero(self._done[slots] >= moment)
        position = int(self.firsts[slots[late[0]]]) if late.size else behind
        if late.size and late[0] == 0 and oldest:
            position = self._floor  # what came before is forgotten: the last answer still holds
        self._floor = max(self._floor, position)
        return position

    @property
    def oldest(self) -> int:
        """The oldest batch that may be read while others are written."""
        return max(0, self.number - self.slots + LOG_MARGIN)


@kernel
def round_trips(
    out: Any, count: Any, firsts: Any, counts: Any, starts: Any, ends: Any, oldest: Any, newest: Any, probes: Any
) -> None:
    """Fill `rtt` of out[:count]: arrival less the time at which the probe left; NaN if its batch is not remembered.

    The batches oldest .. newest - 1 are in rings; batches are in the order of their first positions. A round has
    `probes` attempts.
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
        turn = out[i].attempt // probes
        unknown = low == oldest or position - firsts[slot] >= np.uint64(counts[slot])
        if unknown or turn >= starts.shape[0] or starts[turn, slot] == 0:
            out[i].rtt = np.nan
            continue
        part = (np.float64(position - firsts[slot]) + 0.5) / np.float64(counts[slot])
        left = starts[turn, slot] + part * (ends[turn, slot] - starts[turn, slot])
        out[i].rtt = max((out[i].ts * 1000.0 - left) * 1e-9, 0.0)
