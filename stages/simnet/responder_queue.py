"""Answers that wait for their time, as finished frames, and what the responder counts. Pure.

There is a ring for each delay, so what comes into one in order leaves it in order, and no wheel is needed. The last
is for what was lost on its way and comes again, as a server's own timer would send it. A full ring loses answers and
counts them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from stages.net.jit import kernel, piece

#: Of a probe so much is read, and no answer is longer, where nobody says more than a handshake.
ROW_BYTES: Final = 512

#: What is counted. `refusals` are ICMP errors: the kernel of whoever probes knows of no socket with that port.
#: `said` are answers to requests, `closed` FINs of the other side, `astray` segments that acknowledge what was never
#: sent, `lost_back` answers that were lost on their way.
COUNTERS: Final = (
    "seen", "invalid", "syn", "ack", "data", "rst", "udp", "echo", "lost", "answers", "delayed", "overflow",
    "refusals", "said", "closed", "astray", "lost_back",
)  # fmt: skip
(
    SEEN, INVALID, SYN, ACK, DATA, RST, UDP, ECHO, LOST, ANSWERS, DELAYED, OVERFLOW, REFUSALS, SAID, CLOSED, ASTRAY,
    LOST_BACK,
) = range(len(COUNTERS))  # fmt: skip


class Queue(NamedTuple):
    """Finished frames that wait, a ring for each delay."""

    rows: Any  # u8, delays x capacity x bytes of a row
    lengths: Any  # i64, delays x capacity
    due: Any  # i64, delays x capacity; nanoseconds
    heads: Any  # i64, delays: the next to leave
    tails: Any  # i64, delays: the next to come


def queue_of(delays: int, capacity: int, row_bytes: int = ROW_BYTES) -> Queue:
    """An empty queue. The memory is the kernel's until it is used."""
    return Queue(
        np.zeros((delays, capacity, row_bytes), np.uint8),
        np.zeros((delays, capacity), np.int64),
        np.zeros((delays, capacity), np.int64),
        np.zeros(delays, np.int64),
        np.zeros(delays, np.int64),
    )


@piece
def postpone(queue: Any, which: Any, due: Any, out: Any, o: Any, size: Any, counters: Any) -> None:
    """The frame out[o : o + size] goes into ring `which`, until `due` (nanoseconds, as all of them)."""
    capacity = queue.due.shape[1]
    if queue.tails[which] - queue.heads[which] >= capacity:
        counters[OVERFLOW] += 1
        return
    at = queue.tails[which] % capacity
    for i in range(size):
        queue.rows[which, at, i] = out[o + i]
    queue.lengths[which, at] = size
    queue.due[which, at] = due
    queue.tails[which] += 1
    counters[DELAYED] += 1


@kernel
def mature(queue: Any, out: Any, lengths: Any, counters: Any, now: Any) -> Any:
    """Move answers whose time has come into `out`, as far as there is room. Returns the rows filled."""
    rows = 0
    capacity, stride = queue.due.shape[1], out.size // lengths.size
    for which in range(queue.heads.size):
        while queue.heads[which] < queue.tails[which] and rows < lengths.size:
            at = queue.heads[which] % capacity
            if queue.due[which, at] > now:
                break
            size = queue.lengths[which, at]
            for i in range(size):
                out[rows * stride + i] = queue.rows[which, at, i]
            lengths[rows] = size
            queue.heads[which] += 1
            rows += 1
            counters[ANSWERS] += 1
    return rows


def waiting(queue: Queue) -> int:
    """Answers that wait."""
    return int((queue.tails - queue.heads).sum())
