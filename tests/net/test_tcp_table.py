"""Connections are found as long as they are there, whatever comes and goes; beside a dict."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from stages.net import tcp
from stages.net.jit import kernel
from stages.net.tcp_table import add, find, forget, has_room, remember, remove
from tests.servers.tcp_table import Hand

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


@kernel
def put(t: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> Any:
    if not has_room(t):
        return np.int64(-1)
    return add(t, peer, peer_port, ours, own_port)


@kernel
def look(t: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> Any:
    return find(t, peer, peer_port, ours, own_port)


@kernel
def take(t: Any, slot: Any, how: Any) -> None:
    remember(t, t.connections[slot], how)
    remove(t, slot)


@kernel
def anew(t: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> None:
    forget(t, peer, peer_port, ours, own_port)


def test_as_a_dict() -> None:
    chance = random.Random(5)
    table = Hand(50).table
    there: dict[tuple[int, int, int, int], int] = {}
    for _ in range(20_000):
        key = (chance.randrange(8), chance.randrange(4), chance.randrange(2), chance.randrange(3))
        if key in there and chance.random() < 0.5:
            take(table, there.pop(key), tcp.BY_FIN)
        elif key not in there:
            slot = put(table, *key)
            assert (slot < 0) == (len(there) == 50)
            if slot >= 0:
                there[key] = slot
        assert look(table, *key) == there.get(key, tcp.NOWHERE)
    assert all(look(table, *key) == slot for key, slot in there.items())
    assert (table.places >= 0).sum() == len(there) == table.now[tcp.OPEN]


def test_what_was_closed_is_remembered_until_it_is_open_again() -> None:
    table = Hand(4).table
    take(table, put(table, 1, 2, 3, 4), tcp.BY_RESET)
    assert table.closed["how"].sum() == tcp.BY_RESET
    anew(table, 1, 2, 3, 5)
    assert table.closed["how"].sum() == tcp.BY_RESET
    anew(table, 1, 2, 3, 4)
    assert table.closed["how"].sum() == 0
