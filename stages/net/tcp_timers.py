"""What is due: delayed ACKs, retransmissions (RFC 6298 5), window probes, and the deadlines of conversations. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.net import ended, tcp
from stages.net.jit import kernel, part
from stages.net.sequence import gap
from stages.net.tcp import borrow, due_at
from stages.net.tcp_control import mark
from stages.net.tcp_ending import abort, end
from stages.net.tcp_input import has_space, write_event
from stages.net.tcp_output import probe_window, push
from stages.net.tcp_wheel import arm, disarm

_ACK_NOW, _OVER, _OBJECT, _LATE = tcp.ACK_NOW, tcp.OVER, tcp.OBJECT, tcp.LATE
_AT, _TICK, _MASK = tcp.AT_TICK, tcp.TICK, tcp.BUCKETS - 1
_NEVER, _NOWHERE, _FIRST, _EXPIRED = tcp.NEVER, tcp.NOWHERE, tcp.FIRST, tcp.EXPIRED
_US = ended.US
_MOST_BACKOFF = 30


@part
def expire(t: Any, slot: Any, now: Any) -> None:
    """One connection, something of which is due."""
    c = t.connections[slot]
    if c.say_at <= now or c.total_at <= now:
        if c.flags & _OVER:  # the peer has not closed in time
            abort(t, slot)
            return
        if c.flags & _OBJECT:
            c.say_at = _NEVER
            if c.total_at <= now:
                c.total_at = _NEVER
            mark(t, c)
            write_event(t, slot, _EXPIRED, now)
        elif c.flags & _LATE and c.total_at > now:
            c.flags &= ~_LATE
            c.said = t.payload.size
            c.say_at = now + t.rules[_FIRST]
        else:
            end(t, slot, _US, True, now)
            return
    if c.ack_at <= now:
        c.ack_at = _NEVER
        c.flags |= _ACK_NOW
    if c.resend_at <= now:
        c.resend_at = _NEVER
        c.backoff = min(c.backoff + 1, _MOST_BACKOFF)
        if c.wnd == 0:
            probe_window(t, slot, now)
        elif gap(c.top, c.una) > 0:
            c.nxt = c.una
            c.cwnd = 1
            c.repeats = 0
            c.timed_at = _NEVER
    push(t, slot, now)


@kernel
def tick(t: Any, now: Any) -> Any:
    """All that is due at `now`. False: results must be taken away first, then go on."""
    t = borrow(t)
    until = now // _TICK
    while t.now[_AT] < until:
        bucket = (t.now[_AT] + 1) & _MASK
        while t.wheel[bucket] != _NOWHERE:
            if not has_space(t):
                return False
            slot = np.int64(t.wheel[bucket])
            disarm(t, slot)
            if due_at(t.connections[slot]) > now:
                arm(t, slot)
            else:
                expire(t, slot, now)
        t.now[_AT] += 1
    return True
