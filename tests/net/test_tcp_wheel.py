"""Deadlines: none is early, none is late by more than a tick, and a tick touches only what is due."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from stages.net import tcp
from stages.net.jit import kernel
from stages.net.tcp_wheel import arm, disarm
from tests.servers.tcp_table import START_US, Hand

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


@kernel
def put(t: Any, slot: Any, due: Any) -> None:
    t.connections[slot].say_at = due
    arm(t, slot)


@kernel
def pop(t: Any) -> Any:
    """The next of the bucket that is due next, NOWHERE: none, and the wheel goes on."""
    slot = np.int64(t.wheel[(t.now[tcp.AT_TICK] + 1) & (tcp.BUCKETS - 1)])
    if slot == tcp.NOWHERE:
        t.now[tcp.AT_TICK] += 1
    else:
        disarm(t, slot)
    return slot


def test_deadlines_that_move() -> None:
    chance = random.Random(3)
    table = Hand(64).table
    table.connections["bucket"] = tcp.NOWHERE
    for name in ("ack_at", "resend_at", "total_at", "say_at"):
        table.connections[name] = tcp.NEVER
    due = {slot: START_US + chance.randrange(1, 30_000_000) for slot in range(64)}
    for slot, when in due.items():
        put(table, slot, when)
    while due:
        slot = pop(table)
        here = (int(table.now[tcp.AT_TICK]) + 1) * tcp.TICK
        if slot == tcp.NOWHERE:
            if chance.random() < 0.02:  # one moves, to earlier or later
                slot = chance.choice(list(due))
                due[slot] = max(here + 1, due[slot] + chance.randrange(-5_000_000, 5_000_000))
                put(table, slot, due[slot])
            continue
        if due[slot] > here:
            put(table, slot, due[slot])
        else:
            assert here - tcp.TICK < due.pop(slot) <= here
    assert (table.wheel == tcp.NOWHERE).all()
