from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.space import NOT_A_TARGET, Space

TOP = (1 << 32) - 1
PORTS = st.lists(st.integers(0, 65535), min_size=1, max_size=12, unique=True)


@st.composite
def ranges(draw: st.DrawFn, most: int = 50) -> list[tuple[int, int]]:
    """Sorted, disjoint ranges anywhere in 32 bits; `most` bounds their size."""
    out: list[tuple[int, int]] = []
    at = draw(st.integers(0, TOP))
    for _ in range(draw(st.integers(1, 6))):
        high = min(at + draw(st.integers(0, most)), TOP)
        out.append((at, high))
        at = high + 1 + draw(st.integers(0, 1 << 29))
        if at > TOP:
            break
    return out


def listed(space: list[tuple[int, int]], ports: list[int]) -> list[tuple[int, int]]:
    return [(a, p) for low, high in space for a in range(low, high + 1) for p in ports]


@given(ranges(), PORTS)
def test_at_lists_every_target_once_and_index_of_is_its_inverse(
    pieces: list[tuple[int, int]], ports: list[int]
) -> None:
    space = Space.build(pieces, ports)
    everything = listed(pieces, ports)
    assert space.size == len(everything)
    assert space.addresses * len(space.ports) == space.size
    address, port = space.at(np.arange(space.size, dtype=np.uint64))
    assert list(zip(address.tolist(), port.tolist(), strict=True)) == everything
    assert space.index_of(address, port).tolist() == list(range(space.size))


@given(ranges(), PORTS, st.lists(st.tuples(st.integers(0, TOP), st.integers(0, 65535)), min_size=1))
def test_what_is_outside_has_no_index(
    pieces: list[tuple[int, int]], ports: list[int], asked: list[tuple[int, int]]
) -> None:
    space = Space.build(pieces, ports)
    near = [(edge, p) for low, high in pieces for edge in (low - 1, high + 1) if 0 <= edge <= TOP for p in ports]
    inside = set(listed(pieces, ports))
    wanted = asked + near
    found = space.index_of([a for a, _ in wanted], [p for _, p in wanted]).tolist()
    assert [index == NOT_A_TARGET for index in found] == [target not in inside for target in wanted]


def test_the_whole_of_ipv4_and_all_ports_is_exact() -> None:
    space = Space.build([(0, TOP)], range(65536))
    assert space.size == 1 << 48
    address, port = space.at(np.array([0, 65535, 65536, (1 << 48) - 1], np.uint64))
    assert address.tolist() == [0, 0, 1, TOP]
    assert port.tolist() == [0, 65535, 0, 65535]
    assert space.index_of(address, port).tolist() == [0, 65535, 65536, (1 << 48) - 1]


def test_ports_keep_their_order_and_repetitions_are_dropped() -> None:
    space = Space.build([(5, 5)], [443, 80, 443, 0])
    assert space.ports == (443, 80, 0)
    assert space.at(np.arange(3, dtype=np.uint64))[1].tolist() == [443, 80, 0]


def test_an_empty_space() -> None:
    space = Space.build([], [80])
    assert (space.size, space.addresses) == (0, 0)
    assert space.index_of(1, 80).tolist() == [NOT_A_TARGET]
    assert Space.build([(1, 2)], []).size == 0


@pytest.mark.parametrize("pieces", [[(2, 1)], [(-1, 5)], [(0, 1 << 32)], [(1, 5), (5, 6)], [(7, 8), (1, 2)]])
def test_bad_ranges(pieces: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="range"):
        Space.build(pieces, [80])


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_bad_ports(port: int) -> None:
    with pytest.raises(ValueError, match=str(port)):
        Space.build([(1, 2)], [port])
