"""Deadlines of connections: a hashed wheel of lists, with lazy re-insertion (see `stages.net.wheel`). Pure.

A record stands in the list of one bucket. That a deadline moves to later costs nothing: when the bucket comes, the
record is put where it belongs. Only to earlier it is moved at once. What lies beyond the horizon stands at the horizon.
"""

from __future__ import annotations

from typing import Any

from stages.net import tcp
from stages.net.jit import part
from stages.net.tcp import due_at

_TICK, _BUCKETS, _MASK = tcp.TICK, tcp.BUCKETS, tcp.BUCKETS - 1
_NOWHERE, _AT = tcp.NOWHERE, tcp.AT_TICK


@part
def disarm(t: Any, slot: Any) -> None:
    """Take a connection out of the wheel, if it is in."""
    c = t.connections[slot]
    if c.bucket == _NOWHERE:
        return
    if c.before == _NOWHERE:
        t.wheel[c.bucket] = c.behind
    else:
        t.connections[c.before].behind = c.behind
    if c.behind != _NOWHERE:
        t.connections[c.behind].before = c.before
    c.bucket = _NOWHERE


@part
def arm(t: Any, slot: Any) -> None:
    """Put a connection where its deadlines say, unless it stands in an earlier bucket."""
    c = t.connections[slot]
    due = due_at(c)
    here = t.now[_AT]
    tick = (due - 1) // _TICK + 1
    if tick <= here:
        tick = here + 1
    if tick > here + _MASK:
        tick = here + _MASK
    if c.bucket != _NOWHERE:
        if here + ((c.bucket - here) & _MASK) <= tick and c.bucket != (here & _MASK):
            return
        disarm(t, slot)
    bucket = tick & _MASK
    c.bucket = bucket
    c.before = _NOWHERE
    c.behind = t.wheel[bucket]
    if c.behind != _NOWHERE:
        t.connections[c.behind].before = slot
    t.wheel[bucket] = slot
