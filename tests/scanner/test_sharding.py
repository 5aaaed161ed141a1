from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.sharding import MAX_SHARDS, own_positions, shard_behind


@given(st.integers(0, 400), st.integers(1, 60))
def test_the_shards_share_everything_out(total: int, shards: int) -> None:
    sizes = [own_positions(total, shard, shards) for shard in range(shards)]
    assert sizes == [len(range(shard, total, shards)) for shard in range(shards)]
    assert sum(sizes) == total
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 1 << 62), st.integers(1, MAX_SHARDS), st.data())
def test_large_scans(total: int, shards: int, data: st.DataObject) -> None:
    shard = data.draw(st.integers(0, shards - 1))
    size = own_positions(total, shard, shards)
    assert size in (total // shards, total // shards + 1)
    assert size == 0 or shard + (size - 1) * shards < total
    assert shard + size * shards >= total


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 40), st.data())
def test_a_part_of_a_scan_has_the_same_positions(offset: int, size: int, shards: int, data: st.DataObject) -> None:
    """A part of `size` positions behind `offset` others."""
    shard = data.draw(st.integers(0, shards - 1))
    of_the_part = shard_behind(offset, shard, shards)
    own = [offset + of_the_part + i * shards for i in range(own_positions(size, of_the_part, shards))]
    assert own == [p for p in range(shard, offset + size, shards) if p >= offset]
    assert own_positions(offset, shard, shards) + len(own) == own_positions(offset + size, shard, shards)
