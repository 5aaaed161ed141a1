"""Chunks: what is written in any order is read as it should be, and comes back to the pool."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from stages.net import tcp
from stages.net.jit import kernel
from stages.net.tcp_pool import copy_in, drop_in, free_room, give_in, hold, reach, settle, write_in
from tests.servers.tcp_table import Hand

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


@kernel
def write(t: Any, offset: Any, data: Any, first: Any, size: Any) -> Any:
    return write_in(t, t.connections[0], offset, data, first, size)


@kernel
def note(t: Any, first: Any, last: Any, number: Any) -> Any:
    kept = hold(t, 0, first, last) if last > first else True
    return kept, reach(t, 0, number)


@kernel
def read(t: Any, start: Any, until: Any, out: Any) -> None:
    settle(t, t.connections[0], until)
    copy_in(t, t.connections[0], start, until, out, np.int64(0))
    drop_in(t, t.connections[0], until)


@kernel
def empty(t: Any) -> Any:
    give_in(t, t.connections[0])
    return free_room(t)


def fresh(chunks: int = 16) -> tcp.Tcp:
    table = Hand(2, chunks=chunks).table
    for name in ("in_head", "in_here"):
        table.connections[name] = tcp.NOWHERE
    return table


def test_written_in_any_order() -> None:
    chance = random.Random(2)
    for _ in range(50):
        table = fresh()
        text = np.frombuffer(bytearray(chance.randbytes(6000)), np.uint8)
        pieces = [(at, min(at + 700, 6000)) for at in range(0, 6000, 500)]
        chance.shuffle(pieces)
        for first, last in pieces:
            assert write(table, first, text, first, last - first) == last - first
        out = np.zeros(6000, np.uint8)
        read(table, 0, 2500, out)
        assert table.now[tcp.CHUNKS_USED] == -(-6000 // tcp.CHUNK) - 2500 // tcp.CHUNK
        read(table, 2500, 6000, out[2500:])
        assert out.tobytes() == text.tobytes()
        assert empty(table) == 16 * tcp.CHUNK


def test_an_empty_pool_takes_what_it_can() -> None:
    table = fresh(chunks=2)
    data = np.ones(5000, np.uint8)
    assert write(table, 100, data, 0, 5000) == 2 * tcp.CHUNK - 100
    assert write(table, 2 * tcp.CHUNK, data, 0, 1) == 0
    assert empty(table) == 2 * tcp.CHUNK


def test_ranges_beside_a_set() -> None:
    chance = random.Random(4)
    for _ in range(300):
        table, here, base = fresh(), 0, (1 << 32) - 20
        have: set[int] = set()
        for _ in range(12):
            first = chance.randrange(here + 1, here + 30)
            last = first + chance.randrange(1, 9)
            kept, _ = note(table, (base + first) % (1 << 32), (base + last) % (1 << 32), (base + here) % (1 << 32))
            if kept:
                have |= set(range(first, last))
            if chance.random() < 0.3:
                here += chance.randrange(1, 5)
                while here in have:
                    here += 1
                assert note(table, 0, 0, (base + here) % (1 << 32))[1] == (base + here) % (1 << 32)
            assert table.connections[0]["ranges"] <= tcp.RANGES
