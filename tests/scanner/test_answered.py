from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner import probes
from stages.scanner.answered import Answered, Silent
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space

PAGE = 1 << 16


@given(
    st.lists(st.lists(st.integers(0, PAGE * 2 - 1), max_size=30), max_size=12),
    st.integers(0, 3 * PAGE // 4),
)
def test_within_the_window_it_is_a_set(batches: list[list[int]], step: int) -> None:
    """Positions move on by `step` a batch; what lies at most `size` behind the newest is known exactly."""
    answered, model, newest = Answered(1), set(), 0
    for turn, batch in enumerate(batches):
        base = turn * step
        positions = [base + offset for offset in batch if base + offset >= newest - answered.size]
        answered.mark(np.array(positions, np.uint64))
        model |= set(positions)
        newest = max([newest, *positions])
        oldest = max(0, newest - answered.size + 1)
        known = answered.among(oldest, newest - oldest + 1)
        assert {oldest + int(i) for i in np.flatnonzero(known)} == {p for p in model if p >= oldest}


def test_an_old_answer_does_not_disturb_a_newer_page() -> None:
    answered = Answered(1)
    pages = answered.size // PAGE + 2
    answered.mark(np.array([pages * PAGE + 7], np.uint64))
    answered.mark(np.array([7, 8], np.uint64))  # the same page, one time round ago
    assert not answered.among(0, 10).any()
    assert answered.among(pages * PAGE, 10).tolist() == [i == 7 for i in range(10)]


def test_memory_is_bounded() -> None:
    for positions in (0, 1e6, float("inf")):
        answered = Answered(positions)
        assert answered._bits.nbytes <= 32 << 20
        assert answered.size >= min(positions, 1 << 27)


def test_rows_of_those_who_answered_are_left_out_of_later_rounds() -> None:
    space = Space.build([(10 << 24, (10 << 24) + 63)], [80])
    rows = FrameBuilder(
        space, Permutation(64, 5), probes.get("tcp_synscan"), bytes(16), source_ips=(1,), source_ports=(40000, 40009),
        probes=2, retries=1, batch=64,
    )  # fmt: skip
    answered = Answered(1)
    silent = Silent(rows, rows, answered)
    assert silent.fill(0, 64) == 128
    everything = [rows.frame(row)[30:34] for row in range(128)]
    answered.mark(np.array([0, 5, 63], np.uint64))
    assert silent.fill(0, 64) == 128  # the first round is for everybody
    left = silent.fill(0, 64, 0, 2)
    assert left == 122
    assert [rows.frame(row)[30:34] for row in range(left)] == [
        target for row, target in enumerate(everything) if row // 2 not in (0, 5, 63)
    ]
    answered.mark(np.arange(64, dtype=np.uint64))
    assert silent.fill(0, 64, 0, 2) == 0
