from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.containers import Arena, Containers

TOP = 1 << 63
NUMBERS = st.lists(
    st.lists(
        st.one_of(
            st.integers(0, 3000), st.integers(60_000, 70_000), st.integers(0, TOP - 1), st.just(0), st.just(TOP - 1)
        ),
        max_size=200,
    ),
    max_size=20,
)


def array(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.uint64)


@given(NUMBERS)
def test_it_is_a_set(batches: list[list[int]]) -> None:
    there, model = Containers(), set()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(int(number in model))
            model.add(number)
        assert there.insert(array(batch)).tolist() == expected


@given(
    st.integers(1, 300_000).filter(lambda n: n), st.sampled_from([1, 2, 3, 16, 100, 1000]), st.integers(0, 2**32),
    st.booleans(),
)  # fmt: skip
def test_any_density_in_order_and_shuffled(count: int, step: int, seed: int, shuffle: bool) -> None:
    """Lists that split, and bitmaps; up to five spans."""
    numbers = np.arange(0, min(count * step, 5 << 16), step, dtype=np.uint64) + np.uint64(seed)
    if shuffle:
        np.random.default_rng(seed).shuffle(numbers)
    there = Containers()
    half = numbers.size // 2
    assert not there.insert(numbers[:half]).any()
    assert there.insert(numbers).tolist() == [1] * half + [0] * (numbers.size - half)
    assert there.insert(numbers).all()
    if step > 1:
        assert not there.insert(numbers + np.uint64(1)).any()


def test_numbers_far_apart_have_spans_of_their_own() -> None:
    there = Containers()
    numbers = np.arange(100_000, dtype=np.uint64) << np.uint64(40)
    assert not there.insert(numbers).any()
    assert there.insert(numbers).all()


@pytest.mark.parametrize(("share", "bytes_each"), [(0.01, 4.0), (0.1, 1.8), (0.5, 0.3), (1.0, 0.15)])
def test_memory(share: float, bytes_each: float) -> None:
    """Of 2^23 numbers in a row, so many."""
    numbers = np.flatnonzero(np.random.default_rng(3).random(1 << 23) < share).astype(np.uint64)
    there = Containers()
    assert not there.insert(numbers).any()
    assert there.nbytes / numbers.size <= bytes_each
    assert there.insert(numbers).all()


def test_an_arena_keeps_its_rows_and_adds_zeros() -> None:
    arena = Arena(np.uint16, 64, 64)
    arena.rows[:] = 7
    for _ in range(8):
        arena.grow()
    rows = arena.rows
    assert len(rows) == arena.count == 64 << 8
    assert (rows[:64] == 7).all()
    assert not rows[64:].any()


def test_a_table_is_never_full() -> None:
    there = Containers()
    for first in range(0, 1 << 14, 100):
        numbers = np.arange(first, first + 100, dtype=np.uint64) << np.uint64(16)
        assert not there.insert(numbers).any()
    assert there.insert(np.arange(1 << 14, dtype=np.uint64) << np.uint64(16)).all()
