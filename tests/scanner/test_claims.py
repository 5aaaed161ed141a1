from __future__ import annotations

import threading
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.scanner import probes as modules
from stages.scanner.answered import Silent
from stages.scanner.claims import Claim, Claims
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.rate import MIN_RATE, batch_size
from stages.scanner.sendlog import LOG_BATCHES
from stages.scanner.space import Space


def claims(last: int = 1000, batch: int = 64, probes: int = 1, rate: float = 0) -> Claims:
    made = Claims(0, last, batch, probes, rate)
    made.begin(None)
    return made


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


def test_nothing_is_given_out_while_somebody_is_behind_and_it_is_not_made_up_for() -> None:
    clock, behind = [0.0], [True]
    shared = Claims(0, 1_000_000, 64, 1, 6400.0, clock=lambda: clock[0])
    shared.begin(None)
    shared.heed(lambda: behind[0])
    for clock[0] in (0.0, 0.5, 1.0):
        wait = shared.look()
        assert isinstance(wait, float)
        assert 0 < wait < 0.01
    behind[0] = False
    given = 0
    for step in range(200):  # a second
        clock[0] = 1.0 + step / 200
        while isinstance(shared.look(), Claim):
            given += 64
    assert 6400 <= given <= 6400 + 2 * 64


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


def drain(shared: Claims, threads: int = 1) -> list[tuple[Claim, float, float]]:
    """All claims as they come, each finished at once: (claim, taken, finished)."""
    done: list[tuple[Claim, float, float]] = []

    def work() -> None:
        while (claim := shared.take()) is not None:
            taken = time.monotonic()
            shared.sending(claim)
            shared.finished(claim)
            done.append((claim, taken, time.monotonic()))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return done


@settings(max_examples=25)
@given(
    last=st.integers(1, 300), batch=st.integers(1, 64), probes=st.integers(1, 3), retries=st.integers(0, 4),
    threads=st.sampled_from([1, 2, 4]), interval=st.sampled_from([0.0, 0.003]),
)  # fmt: skip
def test_every_batch_comes_round_so_many_times_and_never_too_early(
    last: int, batch: int, probes: int, retries: int, threads: int, interval: float
) -> None:
    shared = Claims(0, last, batch, probes, 0, retries=retries, interval=interval)
    shared.begin(None)
    done = drain(shared, threads)
    rounds: dict[int, list[tuple[int, float, float]]] = {}
    for claim, taken, finished in done:
        rounds.setdefault(claim.first, []).append((claim.attempt, taken, finished))
    assert sum(claim.count for claim, *_ in done) == last * (retries + 1)
    assert sorted(rounds) == list(range(0, last, batch))
    for turns in rounds.values():
        turns.sort()
        assert [attempt for attempt, *_ in turns] == [probes * turn for turn in range(retries + 1)]
        for before, after in pairwise(turns):
            assert after[1] - before[1] >= interval
    assert shared.position == last == shared.position_before(time.monotonic() + 1)


def test_what_is_due_again_goes_before_what_is_new() -> None:
    shared = Claims(0, 1000, 100, 1, 0, retries=1, interval=0.0)
    shared.begin(None)
    order = []
    for _ in range(6):
        claim = shared.take()
        assert claim is not None
        order.append((claim.first, claim.attempt))
        shared.finished(claim)
    assert order == [(0, 0), (0, 1), (100, 0), (100, 1), (200, 0), (200, 1)]


def test_a_position_counts_when_its_last_round_is_over() -> None:
    shared = Claims(0, 200, 100, 1, 0, retries=1, interval=0.05)
    shared.begin(None)
    for _ in range(2):
        claim = shared.take()
        assert claim is not None
        shared.finished(claim)
    assert shared.position == 0
    assert shared.position_before(time.monotonic() + 100) == 0
    again = shared.take()
    assert again is not None
    assert (again.first, again.attempt) == (0, 1)
    assert shared.position == 0
    shared.finished(again)
    assert shared.position == 100
    shared.stop()
    assert shared.take() is None
    assert shared.position == 100  # what waited for another round was not probed to the end


def test_a_thread_waits_for_a_batch_that_another_has_under_way() -> None:
    shared = Claims(0, 10, 10, 1, 0, retries=1, interval=0.0)
    shared.begin(None)
    first = shared.take()
    assert first is not None
    got: list[Claim | None] = []
    thread = threading.Thread(target=lambda: got.append(shared.take()))
    thread.start()
    thread.join(0.12)
    assert thread.is_alive()
    shared.finished(first)
    thread.join()
    assert got[0] is not None
    assert got[0].attempt == 1
    assert shared.take() is None  # the last round is another thread's


def test_sending_waits_where_the_window_ends() -> None:
    shared = Claims(0, 10**9, 1 << 16, 1, 10.0**6, retries=1, interval=0.0)
    shared._pace.rate = 0.0
    shared._interval = 3600.0
    shared.begin(None)
    assert shared.answered is not None
    taken = 0
    while shared.next + (1 << 16) <= shared.answered.size:
        claim = shared.take()
        assert claim is not None
        shared.finished(claim)
        taken += 1
    thread = threading.Thread(target=shared.take, daemon=True)
    thread.start()
    thread.join(0.12)
    assert thread.is_alive()
    assert shared.next == taken << 16
    shared.stop()
    thread.join()


def test_packets_that_were_not_sent_are_given_back_to_the_rate() -> None:
    """Half of each batch has answered: at 1,000 packets a second 100 batches of 10 take half a second."""
    shared = Claims(0, 1000, 10, 1, 1000.0)
    shared.begin(None)
    began = time.monotonic()
    while (claim := shared.take()) is not None:
        shared.sending(claim, 5)
        shared.finished(claim, 5)
    assert time.monotonic() - began >= 0.45  # the rate is kept
    assert shared._pace.wait(began) < 0.75  # on the schedule, whatever the machine did meanwhile


@pytest.mark.parametrize("rate", [0.0, 1e9])
def test_the_window_is_bounded(rate: float) -> None:
    shared = Claims(0, 10, 10, 1, rate, retries=1, interval=3600.0)
    assert shared.answered is not None
    assert shared.answered.size < 1 << 28
    shared.answered.mark(np.array([5], np.uint64))
    assert shared.answered.among(4, 3).tolist() == [False, True, False]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_long_scan_allocates_nothing_that_grows(retries: int) -> None:
    shared = Claims(0, 1 << 40, 512, 1, 0, retries=retries, interval=0.0)
    shared.begin(None)

    def send(batches: int) -> None:
        for _ in range(batches):
            claim = shared.take()
            assert claim is not None
            shared.sending(claim, 500)
            shared.finished(claim, 500)
        shared.position_before(time.monotonic())

    send(2_000)
    tracemalloc.start()
    try:
        send(2_000)
        before = tracemalloc.get_traced_memory()[0]
        send(20_000)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000  # a byte a batch
    finally:
        tracemalloc.stop()


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


TARGETS, BASE = 1000, 10 << 24


def probed(retries: int, interval: float, rate: float) -> dict[int, list[float]]:
    """When each target (by its number) is probed, by a clock that stands until somebody waits. Number i answers its
    probe `i % (retries + 2)`, at once; there is none of the last such number: that target stays silent."""
    now = 0.0
    batch = batch_size(rate)
    shared = Claims(0, TARGETS, batch, 1, rate, retries=retries, interval=interval, clock=lambda: now)
    order = Permutation(TARGETS, 5)
    position = np.argsort(order.at(np.arange(TARGETS, dtype=np.uint64))).astype(np.uint64)
    builder = FrameBuilder(
        Space.build([(BASE, BASE + TARGETS - 1)], [80]), order, modules.get("tcp_synscan"), bytes(16), source_ips=(1,),
        source_ports=(40000, 40009), retries=retries, batch=batch,
    )  # fmt: skip
    rows = builder if shared.answered is None else Silent(builder, builder, shared.answered)
    times: dict[int, list[float]] = {}
    shared.begin(None)
    while (found := shared.look()) is not None:
        if isinstance(found, float):
            now += found
            continue
        count = rows.fill(found.first, found.count, attempt=found.attempt)
        shared.sending(found, count)
        shared.finished(found, count)
        for row in range(count):
            number = int.from_bytes(builder.frame(row)[30:34], "big") - BASE
            times.setdefault(number, []).append(now)
            if shared.answered is not None and len(times[number]) == number % (retries + 2) + 1:
                shared.answered.mark(position[number : number + 1])
    return times


@pytest.mark.parametrize("rate", [100.0, 20_000.0])
@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize("interval", [0.0, 1.0, 10.0, 60.0])
def test_the_silent_are_probed_once_an_interval_and_who_answered_no_more(
    interval: float, retries: int, rate: float
) -> None:
    times = probed(retries, interval, rate)
    assert sorted(times) == list(range(TARGETS))
    for number, came in times.items():
        assert len(came) == min(number % (retries + 2), retries) + 1
        for before, after in pairwise(came):
            # What is due waits for the batch that has just gone out, and for those due at the same moment.
            assert interval <= round(after - before, 6) <= interval + 3 * batch_size(rate) / rate
