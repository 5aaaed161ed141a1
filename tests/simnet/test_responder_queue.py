from __future__ import annotations

import numpy as np

from stages.net.jit import kernel
from stages.simnet.responder_queue import COUNTERS, DELAYED, OVERFLOW, mature, postpone, queue_of, waiting


@kernel
def put(queue: object, which: object, due: object, out: object, size: object, counters: object) -> None:
    postpone(queue, which, due, out, 0, size, counters)


def test_frames_come_back_in_order_of_each_ring_whatever_the_rows() -> None:
    queue, counted = queue_of(2, 4, 64), np.zeros(len(COUNTERS), np.int64)
    for n in range(6):
        put(queue, n % 2, 100 * (n % 2) + n, np.full(64, n, np.uint8), 10 + n, counted)
    assert waiting(queue) == 6
    out, lengths = np.zeros(4 * 128, np.uint8), np.zeros(4, np.int64)
    assert mature(queue, out, lengths, counted, -1) == 0
    assert mature(queue, out, lengths, counted, 50) == 3
    assert lengths[:3].tolist() == [10, 12, 14]
    assert [out[row * 128 : row * 128 + 14].tolist() for row in range(3)] == [
        [0] * 10 + [0] * 4, [2] * 12 + [0] * 2, [4] * 14,
    ]  # fmt: skip
    assert mature(queue, out, lengths, counted, 1000) == 3
    assert lengths[:3].tolist() == [11, 13, 15]
    assert waiting(queue) == 0
    assert counted[DELAYED] == 6


def test_a_full_ring_loses_and_counts() -> None:
    queue, counted = queue_of(1, 2, 64), np.zeros(len(COUNTERS), np.int64)
    for n in range(5):
        put(queue, 0, 0, np.full(64, n, np.uint8), 20, counted)
    assert (waiting(queue), counted[DELAYED], counted[OVERFLOW]) == (2, 2, 3)


def test_what_does_not_fit_stays() -> None:
    queue, counted = queue_of(1, 8, 64), np.zeros(len(COUNTERS), np.int64)
    for n in range(5):
        put(queue, 0, 0, np.full(64, n, np.uint8), 20, counted)
    out, lengths = np.zeros(2 * 64, np.uint8), np.zeros(2, np.int64)
    got = []
    while rows := mature(queue, out, lengths, counted, 0):
        got += [int(out[row * 64]) for row in range(rows)]
    assert got == [0, 1, 2, 3, 4]
