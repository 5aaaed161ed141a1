from __future__ import annotations

import errno
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.scanner.answers import ANSWER
from stages.scanner.rate import MIN_RATE
from stages.scanner.sender import LOG_BATCHES, Claims, Sender, SendFailed, round_trips


class Rows:
    """Frames that are their positions."""

    def __init__(self, probes: int) -> None:
        self.probes = probes
        self.rows: list[int] = []
        self.blocks: list[int] = []

    def fill(self, first: int, count: int, milliseconds: int = 0, block: int = 0) -> int:
        self.blocks.append(block)
        self.rows = [position for position in range(first, first + count) for _ in range(self.probes)]
        return len(self.rows)


class Wire:
    """Takes what `script` says of each call: (rows taken at most, errno)."""

    def __init__(self, rows: Rows, script: list[tuple[int, int]]) -> None:
        self.rows = rows
        self.script = script
        self.sent: list[int] = []
        self.refused = 0
        self.asked = 0
        self.left = 3  # looks until all has left

    def free(self) -> int:
        """Each block is free at the second look."""
        self.asked += 1
        return -1 if self.asked % 2 else self.asked // 2 % 2

    def drain(self) -> bool:
        self.left -= 1
        return self.left <= 0

    def close(self) -> None: ...

    def send(self, first: int, count: int) -> tuple[int, int]:
        most, number = self.script.pop(0) if self.script else (count, 0)
        taken = min(most, count) if not number else 0
        self.sent += self.rows.rows[first : first + taken]
        return taken, number


def claims(last: int = 1000, batch: int = 64, probes: int = 1, rate: float = 0) -> Claims:
    made = Claims(0, last, batch, probes, rate)
    made.begin(None)
    return made


def sender(shared: Claims, script: list[tuple[int, int]], probes: int = 1, limit: int = -1) -> tuple[Sender, Wire]:
    rows = Rows(probes)
    wire = Wire(rows, script)
    return Sender(0, shared, rows, wire, "near9", limit), wire


def rows_of(one: Sender) -> Rows:
    rows = one._rows
    assert isinstance(rows, Rows)
    return rows


TROUBLE = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 70), st.just(0)),
        st.tuples(st.just(0), st.sampled_from([errno.ENOBUFS, errno.EAGAIN])),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(TROUBLE, st.integers(1, 3))
def test_no_target_is_lost_or_doubled_whatever_the_kernel_takes(script: list[tuple[int, int]], probes: int) -> None:
    failures = sum(1 for _, number in script if number)
    shared = claims(probes=probes)
    one, wire = sender(shared, script, probes)
    one.run()
    assert one.error is None
    assert wire.sent == [position for position in range(1000) for _ in range(probes)]
    assert one.sent == 1000 * probes
    assert one.failures == failures
    assert shared.position == 1000
    assert wire.left == 0
    assert rows_of(one).blocks == [1, 0] * 8  # 16 batches, each into a block that was free


@pytest.mark.parametrize("number", [errno.ENETDOWN, errno.ENXIO, errno.EMSGSIZE])
def test_an_interface_that_fails_ends_it_and_the_position_stays(number: int) -> None:
    shared = claims()
    one, wire = sender(shared, [(64, 0), (10, 0), (0, number)])
    one.run()
    assert isinstance(one.error, SendFailed)
    assert "near9" in str(one.error)
    assert one.error.errno == number
    assert len(wire.sent) == 74
    assert shared.position == 64
    assert shared.take() is None


def test_failures_are_borne_up_to_the_limit() -> None:
    within, wire = sender(claims(), [(0, errno.ENOBUFS)] * 3, limit=3)
    within.run()
    assert within.error is None
    assert len(wire.sent) == 1000
    beyond, _ = sender(claims(), [(0, errno.ENOBUFS)] * 4, limit=3)
    beyond.run()
    assert "4 send calls failed" in str(beyond.error)


def test_stopped_while_the_queue_is_full() -> None:
    shared = claims()
    one, _ = sender(shared, [(64, 0), (5, 0), *[(0, errno.ENOBUFS)] * 10_000])
    one.start()
    while one.failures < 3:
        time.sleep(0.001)
    shared.stop()
    one.join()
    assert shared.position == 64
    assert one.error is None


def test_threads_share_the_positions() -> None:
    shared = claims(last=20_000)
    pairs = [sender(shared, []) for _ in range(4)]
    for one, _ in pairs:
        one.start()
    for one, _ in pairs:
        one.join()
    assert sorted(position for _, wire in pairs for position in wire.sent) == list(range(20_000))
    assert shared.position == 20_000


def test_the_position_is_that_of_the_oldest_batch_under_way() -> None:
    shared = claims()
    first, second, third = shared.take(), shared.take(), shared.take()
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.first, second.first, third.first) == (0, 64, 128)
    shared.finished(second)
    assert shared.position == 0
    shared.finished(first)
    assert shared.position == 128
    assert shared.next == 192


def test_position_before_a_moment() -> None:
    shared = claims()
    assert shared.position_before(time.monotonic()) == 0
    marks = []
    for _ in range(5):
        marks.append(time.monotonic())
        batch = shared.take()
        assert batch is not None
        shared.finished(batch)
    assert [shared.position_before(mark) for mark in marks] == [0, 64, 128, 192, 256]
    assert shared.position_before(time.monotonic()) == 320
    under_way = shared.take()
    assert under_way is not None
    later = shared.take()
    assert later is not None
    shared.finished(later)
    assert shared.position_before(time.monotonic() + 100) == 320  # one of them has not been sent


def test_position_before_when_the_log_has_wrapped() -> None:
    shared = claims(last=LOG_BATCHES * 2, batch=1)
    for _ in range(LOG_BATCHES // 2):
        batch = shared.take()
        assert batch is not None
        shared.finished(batch)
    mark = time.monotonic()
    middle = shared.position_before(mark)
    assert middle == LOG_BATCHES // 2
    for _ in range(LOG_BATCHES):
        batch = shared.take()
        assert batch is not None
        shared.finished(batch)
    assert shared.position_before(mark) == middle  # forgotten: the last answer still holds
    assert shared.position_before(time.monotonic()) == shared.next


def test_pause_and_stop() -> None:
    shared = claims()
    shared.pause()
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(shared.take()))
    thread.start()
    thread.join(0.15)
    assert thread.is_alive()
    shared.resume()
    thread.join()
    assert got[0] is not None
    shared.pause()
    thread = threading.Thread(target=lambda: got.append(shared.take()))
    thread.start()
    shared.stop()
    thread.join()
    assert got[1] is None


def test_the_runtime_ends_it() -> None:
    shared = claims()
    shared.begin(0.0)
    assert shared.take() is None


def test_the_rate_counts_packets_not_targets() -> None:
    shared = claims(last=10**6, batch=1, probes=10, rate=1000)
    one, wire = sender(shared, [], probes=10)
    began = time.monotonic()
    one.start()
    while len(wire.sent) < 300:
        time.sleep(0.001)
    took = time.monotonic() - began
    shared.stop()
    one.join()
    assert took >= 0.26  # 300 packets at 1,000 a second, less the first batch and one caught up


def test_the_rate_and_its_batch_change_while_it_runs() -> None:
    shared = claims(last=10**6, batch=100, probes=2, rate=100_000)
    assert shared.change_rate(0.5) == 50_000
    first, second = shared.take(), None
    assert first is not None
    assert first.count == 50  # a batch spans two milliseconds, of packets
    assert shared.change_rate(1e-9) == MIN_RATE
    shared.change_rate(1e9 * 10)
    second = shared.take()
    assert second is not None
    assert second.count == 100  # no more than there are rows for
    unlimited = claims(batch=100)
    assert unlimited.change_rate(0.5) == 0
    batch = unlimited.take()
    assert batch is not None
    assert batch.count == 100


def log(entries: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, ...]:
    """(first, count, start ns, end ns) of each batch, as rings of 8."""
    out = (np.zeros(8, np.uint64), np.zeros(8, np.int64), np.zeros(8, np.int64), np.zeros(8, np.int64))
    for i, entry in enumerate(entries):
        for column, value in zip(out, entry, strict=True):
            column[i % 8] = value
    return out


def rtts(positions: list[int], arrival_us: int, entries: list[tuple[int, int, int, int]], oldest: int) -> list[float]:
    out = np.zeros(len(positions), ANSWER)
    out["position"], out["ts"] = positions, arrival_us
    round_trips(out, len(positions), *log(entries), oldest, len(entries))
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
