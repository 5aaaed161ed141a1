from __future__ import annotations

import numpy as np
import pytest

from stages.scanner.answers import ANSWER
from stages.scanner.sendlog import LOG_BATCHES, SendLog, round_trips


def log(entries: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, ...]:
    """(first, count, start ns, end ns) of each batch, as rings of 8 with one round."""
    out = (np.zeros(8, np.uint64), np.zeros(8, np.int64), np.zeros((1, 8), np.int64), np.zeros((1, 8), np.int64))
    for i, entry in enumerate(entries):
        for column, value in zip(out, entry, strict=True):
            column[..., i % 8] = value
    return out


def rtts(positions: list[int], arrival_us: int, entries: list[tuple[int, int, int, int]], oldest: int) -> list[float]:
    out = np.zeros(len(positions), ANSWER)
    out["position"], out["ts"] = positions, arrival_us
    round_trips(out, len(positions), *log(entries), oldest, len(entries), 1)
    return [float(value) for value in out["rtt"]]


def test_round_trips_are_interpolated_within_the_batch() -> None:
    entries = [(100, 10, 1_000_000, 2_000_000), (110, 5, 3_000_000, 3_000_000)]
    found = rtts([100, 109, 110, 114], 4_000, entries, 0)
    assert found == pytest.approx([2.95e-3, 2.05e-3, 1e-3, 1e-3])


def test_a_probe_that_is_not_in_the_log_has_no_round_trip() -> None:
    entries = [(100 + 10 * i, 10, 10**6, 10**6) for i in range(20)]
    found = rtts([5, 100, 215, 225, 299, 300], 2_000, entries, 12)
    assert np.isnan(found).tolist() == [True, True, True, False, False, True]


def test_an_arrival_before_its_batch_is_done_is_never_negative() -> None:
    assert rtts([9], 1_000, [(0, 10, 10**6, 5 * 10**6)], 0) == [0.0]


def test_each_round_has_its_own_times() -> None:
    """With two probes a round the attempts 0 and 1 are the first round's, 2 and 3 the second's."""
    log = SendLog(rounds=3)
    number = log.begin(0, 10)
    log.sending(number, 0, 1_000_000, 0)
    log.sent(number, 0, 1_000_000)
    log.sending(number, 1, 5_000_000, 0)
    log.sent(number, 1, 5_000_000)
    out = np.zeros(6, ANSWER)
    out["attempt"], out["ts"] = range(6), 6_000
    round_trips(out, 6, log.firsts, log.counts, log.starts, log.ends, log.oldest, log.number, 2)
    assert out["rtt"][:4].tolist() == pytest.approx([5e-3, 5e-3, 1e-3, 1e-3])
    assert np.isnan(out["rtt"][4:]).all()  # not sent yet


def test_a_slot_that_is_used_again_forgets_its_times() -> None:
    log = SendLog(rounds=2)
    log.slots = 4
    for i in range(5):
        number = log.begin(10 * i, 10)
        log.sending(number, 0, 1, 0)
        if i == 0:
            log.sending(number, 1, 1, 0)
    assert log.starts[:, 0].tolist() == [1, 0]


def test_many_rounds_remember_fewer_batches_in_bounded_memory() -> None:
    assert SendLog(8).slots == LOG_BATCHES
    for rounds in (9, 100, 255):
        log = SendLog(rounds)
        assert log.starts.nbytes + log.ends.nbytes <= 16 * 8 * LOG_BATCHES
        assert log.slots * rounds > LOG_BATCHES
