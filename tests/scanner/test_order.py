from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.scanner import order
from stages.scanner.permutation import Permutation
from stages.scanner.sharding import own_positions
from stages.scanner.space import NOT_A_TARGET, Space

TOP = (1 << 32) - 1


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    cuts = draw(st.lists(st.integers(0, TOP), min_size=2, max_size=40, unique=True))
    cuts.sort()
    pieces = list(zip(cuts[::2], cuts[1::2], strict=False))
    ports = draw(st.one_of(
        st.lists(st.integers(0, 65535), min_size=1, max_size=5, unique=True),
        st.integers(1, 65536).map(lambda count: list(range(count))),
    ))  # fmt: skip
    if draw(st.booleans()):
        return Space.of_list(np.array(cuts, np.uint32), ports)
    return Space.build(pieces, ports)


@settings(deadline=None, max_examples=60)
@given(spaces(), st.integers(0, 1 << 64), st.data())
def test_kernels_agree_with_numpy(space: Space, seed: int, data: st.DataObject) -> None:
    permutation = Permutation(space.size, seed)
    built = order.build(permutation, space)
    count = min(space.size, data.draw(st.integers(1, 600)))
    first = data.draw(st.integers(0, space.size - count))
    address, port = np.empty(count, np.uint64), np.empty(count, np.uint64)
    order.targets(built, np.uint64(first), address, port)
    positions = np.arange(first, first + count, dtype=np.uint64)
    right_address, right_port = space.at(permutation.at(positions))
    assert (address == right_address).all()
    assert (port == right_port).all()
    back = np.empty(count, np.uint64)
    order.positions(built, address, port, back)
    assert (back == positions).all()


@settings(max_examples=60)
@given(spaces(), st.integers(0, 1 << 64), st.data())
def test_a_shard_is_every_so_many_th_position(space: Space, seed: int, data: st.DataObject) -> None:
    permutation = Permutation(space.size, seed)
    shards = data.draw(st.one_of(st.integers(1, 20), st.integers(1, 1 << 32)))
    shard = data.draw(st.integers(0, min(shards, space.size) - 1))
    built = order.build(permutation, space, shard, shards)
    size = own_positions(space.size, shard, shards)
    count = min(size, data.draw(st.integers(1, 300)))
    first = data.draw(st.integers(0, size - count))
    address, port, back = (np.empty(count, np.uint64) for _ in range(3))
    order.targets(built, np.uint64(first), address, port)
    own = np.arange(first, first + count, dtype=np.uint64)
    right = space.at(permutation.at(own * np.uint64(shards) + np.uint64(shard)))
    assert (address == right[0]).all()
    assert (port == right[1]).all()
    order.positions(built, address, port, back)
    assert (back == own).all()
    if shards > 1:
        other = order.build(permutation, space, (shard + 1) % shards, shards)
        order.positions(other, address, port, back)
        assert (back == order.NOWHERE).all()


@settings(deadline=None)
@given(spaces(), st.lists(st.tuples(st.integers(0, TOP), st.integers(0, 65535)), min_size=1, max_size=50))
def test_what_is_no_target_is_nowhere(space: Space, asked: list[tuple[int, int]]) -> None:
    built = order.build(Permutation(space.size, 1), space)
    address = np.array([a for a, _ in asked], np.uint64)
    port = np.array([p for _, p in asked], np.uint64)
    out = np.empty(len(asked), np.uint64)
    order.positions(built, address, port, out)
    inside = space.index_of(address, port) != np.uint64(NOT_A_TARGET)
    assert ((out != order.NOWHERE) == inside).all()


def test_five_thousand_ranges_and_ipv4_with_all_ports() -> None:
    many = Space.build([(i * 800_000, i * 800_000 + i * 13 % 99) for i in range(5_000)], [80, 443, 22])
    for space, firsts in ((many, (0, many.size - 512)), (Space.build([(0, TOP)], range(65536)), (0, (1 << 48) - 512))):
        permutation = Permutation(space.size, 5)
        built = order.build(permutation, space)
        address, port = np.empty(512, np.uint64), np.empty(512, np.uint64)
        for first in firsts:
            order.targets(built, np.uint64(first), address, port)
            right = space.at(permutation.at(np.arange(first, first + 512, dtype=np.uint64)))
            assert (address == right[0]).all()
            assert (port == right[1]).all()


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="3 elements for a space of 2"):
        order.build(Permutation(3, 0), Space.build([(1, 2)], [80]))
    for shard, shards in ((-1, 1), (1, 1), (0, 0), (0, (1 << 32) + 1)):
        with pytest.raises(ValueError, match=f"shard {shard} of {shards}"):
            order.build(Permutation(2, 0), Space.build([(1, 2)], [80]), shard, shards)
