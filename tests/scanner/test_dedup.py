from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.scanner.dedup import Seen, keys_of
from stages.scanner.seenlog import key_of

KEYS = st.lists(st.lists(st.one_of(st.integers(0, 30), st.integers(0, (1 << 63) - 1)), max_size=40), max_size=20)


def array(keys: list[int]) -> np.ndarray:
    return np.array(keys, np.uint64)


@settings(deadline=None)
@given(KEYS)
def test_full_is_a_set(batches: list[list[int]]) -> None:
    seen, model = Seen("full", 1), set()
    for batch in batches:
        expected = []
        for key in batch:
            expected.append(int(key in model))
            model.add(key)
        assert seen.mark(array(batch)).tolist() == expected


@settings(deadline=None)
@given(KEYS, st.integers(1, 50))
def test_window_remembers_at_least_its_size(batches: list[list[int]], window: int) -> None:
    seen, order = Seen("window", window), []
    for batch in batches:
        recent = set(last_distinct(order, window))
        known = seen.mark(array(batch)).tolist()
        before = set(order)
        for key, was in zip(batch, known, strict=True):
            assert not was or key in before, "a first answer is never a repeat"
            assert was or key not in recent, "what is within the window is remembered"
            before.add(key)
        order += batch


def last_distinct(order: list[int], window: int) -> list[int]:
    """The last keys before which at most `window` new ones came: newest first."""
    out: list[int] = []
    for key in reversed(order):
        if key not in out:
            out.append(key)
        if len(out) == window:
            break
    return out


def test_none_remembers_nothing() -> None:
    seen = Seen("none", 1)
    assert seen.mark(array([1, 1, 1])).tolist() == [0, 0, 0]


def test_full_grows_and_stays_exact() -> None:
    seen = Seen("full", 1)
    keys = (np.arange(300_000, dtype=np.uint64) * np.uint64(2_654_435_761)) & np.uint64((1 << 63) - 1)
    assert not seen.mark(keys[:150_000]).any()
    assert not seen.mark(keys[150_000:]).any()
    assert seen.mark(keys).all()
    assert seen.nbytes <= 300_000 * 450  # each in a span of its own: the dearest there is


def test_window_stays_small() -> None:
    seen = Seen("window", 10_000)
    for first in range(0, 1_000_000, 5_000):
        assert not seen.mark(np.arange(first, first + 5_000, dtype=np.uint64)).any()
    assert seen.nbytes <= 4 << 20


def test_neighbouring_keys_do_not_pile_up() -> None:
    """Keys that differ only above the table's bits: a plain mask would put them all into one chain."""
    seen = Seen("full", 1)
    keys = np.arange(100_000, dtype=np.uint64) << np.uint64(40)
    assert not seen.mark(keys).any()
    assert seen.mark(keys).all()


@pytest.mark.parametrize(("method", "window"), [("bloom", 1), ("window", 0)])
def test_bad_settings(method: str, window: int) -> None:
    with pytest.raises(ValueError, match=method):
        Seen(method, window)  # type: ignore[arg-type]


def test_keys_of_many_are_those_of_one() -> None:
    positions = np.array([0, 5, (1 << 62) - 1, 7], np.uint64)
    success = np.array([True, False, True, True])
    expected = [key_of(int(p), bool(s)) for p, s in zip(positions, success, strict=True)]
    assert keys_of(positions, success).tolist() == expected
