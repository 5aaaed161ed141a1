from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.lists import Lists
from stages.core.netset import NetSet
from stages.core.policy import Policy
from stages.scanner import probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.mask import Mask
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space

BASE = 10 << 24
SIZE = 64


def policy() -> Policy:
    return Policy(lifted=["10.0.0.0/8"])


def builder(probe_count: int) -> FrameBuilder:
    space = Space.build([(BASE, BASE + SIZE - 1)], [80])
    return FrameBuilder(
        space, Permutation(SIZE, 5), probes.get("tcp_synscan"), bytes(16), source_ips=(1,), source_ports=(40000, 40009),
        probes=probe_count, batch=SIZE,
    )  # fmt: skip


def targets(rows: FrameBuilder, count: int) -> list[str]:
    return [str(IPv4Address(rows.frame(row)[30:34])) for row in range(count)]


def sent(rows: FrameBuilder, count: int) -> list[bytes]:
    return [rows.frame(row) for row in range(count)]


@pytest.mark.parametrize("probe_count", [1, 3])
def test_what_is_blocked_later_is_left_out_and_the_rest_is_untouched(probe_count: int) -> None:
    lists, rows = policy(), builder(probe_count)
    mask = Mask(rows, lists, lists.generation)
    everything = sent(rows, mask.fill(0, SIZE))
    assert len(everything) == SIZE * probe_count
    lists.update(Lists(NetSet.parse(["10.0.0.8/29", "10.0.0.63"], "b")))
    left = mask.fill(0, SIZE)
    gone = {f"10.0.0.{i}" for i in range(8, 16)} | {"10.0.0.63"}
    assert left == (SIZE - len(gone)) * probe_count
    assert sent(rows, left) == [f for f in everything if str(IPv4Address(f[30:34])) not in gone]
    lists.update(Lists())  # and allowed again
    assert sent(rows, mask.fill(0, SIZE)) == everything


def test_frames_of_several_lengths_keep_theirs() -> None:
    space = Space.build([(BASE + 5, BASE + 5 + SIZE - 1)], [53, 123])
    module = probes.get("udp", "payloads")
    rows = FrameBuilder(
        space, Permutation(space.size, 5), module, bytes(16), source_ips=(1,), source_ports=(40000, 40009), batch=SIZE
    )
    lists = policy()
    mask = Mask(rows, lists, lists.generation)
    everything = sent(rows, mask.fill(0, SIZE))
    assert len({len(frame) for frame in everything}) == 2
    lists.update(Lists(NetSet.parse(["10.0.0.16/28"], "b")))
    left = mask.fill(0, SIZE)
    assert 0 < left < SIZE
    assert sent(rows, left) == [f for f in everything if not 16 <= f[33] < 32]


def test_nothing_is_left_of_a_batch() -> None:
    lists, rows = policy(), builder(1)
    mask = Mask(rows, lists, lists.generation)
    lists.update(Lists(NetSet.parse(["10.0.0.0/8"], "b")))
    assert mask.fill(0, 7) == 0


def test_lists_that_forbid_nothing_at_all() -> None:
    lists, rows = Policy(special=False), builder(1)
    mask = Mask(rows, lists, lists.generation)
    lists.update(Lists())
    assert mask.fill(0, 7) == 7


@given(st.sets(st.integers(0, SIZE - 1)), st.integers(0, SIZE - 1), st.integers(1, SIZE))
def test_any_blocklist(blocked: set[int], first: int, count: int) -> None:
    count = min(count, SIZE - first)
    lists, rows = policy(), builder(1)
    mask = Mask(rows, lists, lists.generation)
    wanted = targets(rows, mask.fill(first, count))
    lists.update(Lists(NetSet.parse([f"10.0.0.{i}" for i in blocked], "b")))
    assert targets(rows, mask.fill(first, count)) == [t for t in wanted if int(t.rpartition(".")[2]) not in blocked]
