from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.permutation import MAX_SIZE, Permutation

SEEDS = st.integers(0, (1 << 128) - 1)
SIZES = st.one_of(
    st.integers(1, 1 << 20),
    st.integers(1, MAX_SIZE),
    st.integers(2, 62).flatmap(lambda bits: st.integers(-2, 2).map(lambda off: min((1 << bits) + off, MAX_SIZE))),
)


@pytest.mark.parametrize("seed", [0, 1, (1 << 128) - 1])
def test_a_bijection_of_every_small_size(seed: int) -> None:
    for n in range(1, 300):
        permutation = Permutation(n, seed)
        positions = np.arange(n, dtype=np.uint64)
        out = permutation.at(positions)
        assert sorted(out.tolist()) == list(range(n))
        assert (permutation.inverse(out) == positions).all()


@pytest.mark.parametrize("n", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, 3 * 65536, 1_000_003, (1 << 20) + 7])
def test_a_bijection_of_larger_sizes(n: int) -> None:
    out = Permutation(n, 42).at(np.arange(n, dtype=np.uint64))
    assert (np.bincount(out.astype(np.int64), minlength=n) == 1).all()


@given(SIZES, SEEDS, st.data())
def test_inverse_and_the_three_forms(n: int, seed: int, data: st.DataObject) -> None:
    permutation = Permutation(n, seed)
    positions = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20))
    array = np.array(positions, np.uint64)
    out = permutation.at(array)
    assert (out < np.uint64(n)).all()
    assert (permutation.inverse(out) == array).all()
    assert (permutation.at(permutation.inverse(array)) == array).all()
    assert [permutation.one(p) for p in positions] == out.tolist()
    assert array.tolist() == positions  # the argument is left alone


def test_the_order_never_changes() -> None:
    """A checkpoint names positions: the same seed and size give the same order in every version."""
    assert Permutation(1 << 32, 7).at(np.arange(4, dtype=np.uint64)).tolist() == GOLDEN_32
    assert Permutation(1 << 48, 7).at(np.arange(4, dtype=np.uint64)).tolist() == GOLDEN_48
    assert Permutation(1000, 7).at(np.arange(4, dtype=np.uint64)).tolist() == GOLDEN_1000


def test_seeds_give_different_orders() -> None:
    n = 1 << 16
    positions = np.arange(n, dtype=np.uint64)
    orders = [Permutation(n, seed).at(positions) for seed in range(20)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).sum() < 20  # 1 expected by chance; 20 is beyond 10^-17


@pytest.mark.parametrize("n", [1 << 24, 10_000_019, 65536 * 251])
def test_neighbours_are_spread_evenly(n: int) -> None:
    """Differences of neighbours, taken modulo 256, and the load of 256 equal slices by 65,536 positions: chi-square."""
    out = Permutation(n, 3).at(np.arange(1 << 16, dtype=np.uint64)).astype(np.int64)
    for cells in (np.diff(out) % n * 256 // n, out * 256 // n, out % 256):
        counts = np.bincount(cells, minlength=256)
        expected = cells.size / 256
        assert ((counts - expected) ** 2 / expected).sum() < 400  # 255 degrees of freedom: beyond 10^-7


@pytest.mark.parametrize("n", [0, -1, MAX_SIZE + 1])
def test_bad_sizes(n: int) -> None:
    with pytest.raises(ValueError, match="elements"):
        Permutation(n, 0)


@pytest.mark.parametrize("position", [-1, 10])
def test_positions_outside(position: int) -> None:
    with pytest.raises(IndexError):
        Permutation(10, 0).one(position)


GOLDEN_32 = [4150554757, 610812428, 2999517359, 846804300]
GOLDEN_48 = [204972680312705, 140751765429833, 90674327125496, 92836676386042]
GOLDEN_1000 = [744, 823, 554, 650]
