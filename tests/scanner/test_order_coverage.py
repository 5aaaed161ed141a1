"""The order over whole spaces, by the kernels that the sender uses: every target once, whatever shares the work out."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import combinations, product
from typing import Any

import numba
import numpy as np
import pytest

from stages.scanner import order as orders
from stages.scanner.claims import Claims
from stages.scanner.order import Order
from stages.scanner.permutation import Permutation
from stages.scanner.sharding import own_positions
from stages.scanner.space import Space

#: What a batch of a test has; the sender's are smaller, which costs more calls and tests no more.
BATCH = 1 << 14

#: Targets of one combination, at most.
LARGEST = 1 << 24

BASE = 10 << 24
SPACES = {
    "/32": [(BASE, BASE)],
    "/30": [(BASE, BASE + 3)],
    "/24": [(BASE, BASE + 255)],
    "/19": [(BASE, BASE + (1 << 13) - 1)],
    "/16": [(BASE, BASE + 0xFFFF)],
    "/12": [(BASE, BASE + (1 << 20) - 1)],
    "/8": [(BASE, BASE + (1 << 24) - 1)],
    "three prefixes": [(0, 4095), (BASE, BASE + 255), ((1 << 32) - 16, (1 << 32) - 1)],
    "list": [(int(a), int(a)) for a in np.unique(np.random.default_rng(1).integers(0, 1 << 32, 3001))],
}
PORTS = {
    1: (443,), 2: (80, 443), 3: (0, 80, 65_535), 11: tuple(range(20, 31)), 300: tuple(range(1000, 1600, 2)),
    65_536: tuple(range(65_536)),
}  # fmt: skip
SHARDS, THREADS = (1, 2, 5, 8, 19, 258), (1, 2, 4, 7)


def addresses_of(name: str) -> int:
    return sum(last - first + 1 for first, last in SPACES[name])


def pairwise() -> list[tuple[str, int, int, int]]:
    """Few combinations in which every possible pair of values stands: each time the one with the most new pairs, and
    of these the smallest."""
    every = [c for c in product(SPACES, PORTS, SHARDS, THREADS) if addresses_of(c[0]) * c[1] <= LARGEST]
    every.sort(key=lambda c: addresses_of(c[0]) * c[1])

    def pairs(combination: tuple[Any, ...]) -> set[Any]:
        return set(combinations(enumerate(combination), 2))

    left, chosen = set().union(*map(pairs, every)), []
    while left:
        best = max(every, key=lambda c: len(pairs(c) & left))
        chosen.append(best)
        left -= pairs(best)
    return chosen


@numba.njit(nogil=True)
def _count(
    address: Any, port: Any, starts: Any, ends: Any, before: Any, port_rank: Any, ports: Any, counts: Any
) -> int:
    """Add one to the count of each target, found by a search of the test's own; the number of those that are none."""
    strangers = 0
    for i in range(address.size):
        low, high = 0, starts.size - 1
        while low < high:
            middle = (low + high + 1) // 2
            if starts[middle] <= np.int64(address[i]):
                low = middle
            else:
                high = middle - 1
        rank, at = port_rank[np.int64(port[i])], np.int64(address[i])
        if at < starts[low] or at > ends[low] or rank < 0:
            strangers += 1
        else:
            counts[(before[low] + at - starts[low]) * ports + rank] += 1
    return strangers


def walk(built: Order, size: int, threads: int, take: Any) -> None:
    """All positions of a shard, claimed by so many threads; `take` gets the targets."""
    claims = Claims(0, size, BATCH, 1, 0)
    claims.begin(None)

    def work() -> None:
        address, port = np.empty(BATCH, np.uint64), np.empty(BATCH, np.uint64)
        while (claim := claims.take()) is not None:
            orders.targets(built, np.uint64(claim.first), address[: claim.count], port[: claim.count])
            take(address[: claim.count], port[: claim.count])
            claims.finished(claim)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@pytest.mark.parametrize(("name", "ports", "shards", "threads"), pairwise(), ids=str)
def test_the_shards_are_disjoint_and_complete(name: str, ports: int, shards: int, threads: int) -> None:
    ranges = SPACES[name]
    space = (
        Space.of_list(np.array([first for first, _ in ranges], np.uint32), PORTS[ports])
        if name == "list"
        else Space.build(ranges, PORTS[ports])
    )
    starts, ends = np.array(ranges, np.int64).T.copy()
    before = np.concatenate([[0], np.cumsum(ends - starts + 1)[:-1]])
    port_rank = np.full(1 << 16, -1, np.int64)
    port_rank[list(PORTS[ports])] = np.arange(ports)
    counts = np.zeros(space.size, np.uint8)
    strangers: list[int] = []

    def take(address: Any, port: Any) -> None:
        strangers.append(_count(address, port, starts, ends, before, port_rank, ports, counts))

    permutation = Permutation(space.size, 11)
    for shard in range(shards):
        # Threads of one shard never have the same target, so that no count is written by two at once.
        walk(orders.build(permutation, space, shard, shards), own_positions(space.size, shard, shards), threads, take)
    assert sum(strangers) == 0
    assert (counts == 1).all()


def test_the_combinations_have_every_pair() -> None:
    seen = Counter(pair for c in pairwise() for pair in combinations(enumerate(c), 2))
    for shards, threads in product(SHARDS, THREADS):
        assert seen[(2, shards), (3, threads)]
    for name, shards in product(SPACES, SHARDS):
        assert seen[(0, name), (2, shards)]
    assert {c[:2] for c in pairwise()} == {
        (name, ports) for name, ports in product(SPACES, PORTS) if addresses_of(name) * ports <= LARGEST
    }


@pytest.mark.parametrize("n", [
    1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 65_535, 65_536, 65_537, 1_000_003, (1 << 22) - 1, (1 << 22) + 1,
    3 * (1 << 22), (1 << 24) - 1, 1 << 24,
])  # fmt: skip
def test_a_bijection_and_its_inverse_up_to_2_to_the_24(n: int) -> None:
    space = Space.build([(0, n - 1)], (0,))
    built = orders.build(Permutation(n, n), space)
    seen = np.zeros(n, np.bool_)
    address, port, back = (np.empty(BATCH, np.uint64) for _ in range(3))
    for first in range(0, n, BATCH):
        size = min(BATCH, n - first)
        orders.targets(built, np.uint64(first), address[:size], port[:size])
        seen[address[:size].astype(np.intp)] = True
        orders.positions(built, address[:size], port[:size], back[:size])
        assert (back[:size] == np.arange(first, first + size, dtype=np.uint64)).all()
    assert seen.all()  # n positions, n targets: each once


def test_the_first_five_million_targets_of_ipv4_and_all_ports_differ() -> None:
    space = Space.build([(0, (1 << 32) - 1)], range(65_536))
    built = orders.build(Permutation(space.size, 1), space)
    address, port = np.empty(5_000_000, np.uint64), np.empty(5_000_000, np.uint64)
    orders.targets(built, np.uint64(0), address, port)
    pairs = np.sort(address << np.uint64(16) | port)
    assert (pairs[1:] != pairs[:-1]).all()


@pytest.mark.parametrize(("seed", "ports", "shards"), [(1, 1, 1), (2, 3, 1), (3, 1, 2), (4, 11, 5)])
def test_the_load_on_each_24_over_any_tenth_of_a_scan_is_even(seed: int, ports: int, shards: int) -> None:
    """Chi-square over 4,096 networks; what is drawn without being put back varies less, by the share that is left."""
    space = Space.build([(BASE, BASE + (1 << 20) - 1)], PORTS[ports])
    built = orders.build(Permutation(space.size, seed), space, 0, shards)
    size = own_positions(space.size, 0, shards)
    address, port = np.empty(size // 10, np.uint64), np.empty(size // 10, np.uint64)
    for tenth in range(10):
        orders.targets(built, np.uint64(tenth * (size // 10)), address, port)
        counts = np.bincount((address.astype(np.int64) - BASE) >> 8, minlength=4096)
        expected = address.size / 4096
        chi = ((counts - expected) ** 2 / expected).sum() / (1 - address.size / space.size)
        assert abs(chi - 4095) < 5 * (2 * 4095) ** 0.5
