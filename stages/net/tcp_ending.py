"""How a conversation ends, and then its connection (RFC 9293 3.6). Pure.

A conversation is over before its connection is: `tell` says what came of a fixed one; then `shut` ends our side, by RST
at once or by FIN, which waits for its acknowledgement and for the peer's FIN, but not for ever.
"""

from __future__ import annotations

import errno
from typing import Any

import numpy as np

from stages.net import ended, tcp
from stages.net.jit import part, piece
from stages.net.sequence import gap, plus
from stages.net.tcp_control import mark
from stages.net.tcp_output import push, reset
from stages.net.tcp_pool import copy_in, give_in, give_out
from stages.net.tcp_table import remember, remove
from stages.net.tcp_wheel import disarm

_OBJECT, _OVER, _FIN_WANTED, _PEER_FIN = tcp.OBJECT, tcp.OVER, tcp.FIN_WANTED, tcp.PEER_FIN
_STARVED, _CONTROL, _LEFT = tcp.STARVED, tcp.CONTROL, tcp.LEFT
_ENDINGS, _KEPT, _MAX_BYTES, _CLOSE_RESET = tcp.ENDINGS, tcp.KEPT, tcp.MAX_BYTES, tcp.CLOSE_RESET
_NEVER = tcp.NEVER
_WRITE, _READ, _PEER, _US = ended.WRITE, ended.READ, ended.PEER, ended.US
_ENOBUFS, _ECONNRESET = errno.ENOBUFS, errno.ECONNRESET
_MICROSECOND = 1e-6

#: Microseconds that a closed connection is kept for the peer's FIN and for the acknowledgement of ours; then RST.
LINGER: int = 4_000_000


@piece
def received(c: Any) -> Any:
    """Bytes of the peer, in order."""
    return gap(c.rcv, c.irs) - 1 - (1 if c.flags & _PEER_FIN else 0)


@piece
def sent(c: Any) -> Any:
    """Bytes of ours that have left."""
    return min(gap(c.top, c.base), np.int64(c.said))


@piece
def acknowledged(c: Any) -> Any:
    """And that the peer has acknowledged."""
    return min(gap(c.una, c.base), np.int64(c.said))


@part
def tell(t: Any, slot: Any, closed_by: Any, timed_out: Any, was_reset: Any, now: Any) -> None:
    """Write the ENDED row of a fixed conversation, once. There is room, the caller has seen to it."""
    c = t.connections[slot]
    if c.flags & (_OVER | _OBJECT):
        return
    c.flags |= _OVER
    mark(t, c)
    e = t.endings[t.now[_ENDINGS]]
    t.now[_ENDINGS] += 1
    e.tag, e.started = c.tag, c.started
    e.peer, e.peer_port, e.ours, e.own_port = c.peer, c.peer_port, c.ours, c.own_port
    e.connected = c.rtt * _MICROSECOND if c.rtt > 0 else 0.0
    e.first_byte = c.first_byte * _MICROSECOND if c.first_byte >= 0 else np.nan
    e.ended = (now - c.began) * _MICROSECOND
    total = received(c)
    size = min(total, t.rules[_MAX_BYTES])
    at = t.now[_KEPT]
    copy_in(t, c, np.int64(0), size, t.kept, at)
    e.data_at, e.data_size, e.size = at, size, size
    t.now[_KEPT] += size
    e.truncated = total > size
    e.sent, e.acked = sent(c), acknowledged(c)
    e.phase = _WRITE if timed_out and e.sent > 0 and e.acked == 0 else _READ
    e.errno, e.failed = c.errno, 0
    e.has_icmp = c.errno != 0
    e.icmp_type, e.icmp_code, e.icmp_sender = c.icmp_type, c.icmp_code, c.icmp_sender
    if was_reset:
        e.errno, e.failed, e.has_icmp = _ECONNRESET, 1, 0
        t.now[tcp.RESETS_SEEN] += 1
    elif timed_out and c.flags & _STARVED:  # the silence is our own
        e.errno, e.failed, e.has_icmp = _ENOBUFS, 1, 0
        t.now[tcp.STARVATION] += 1
    elif timed_out:
        t.now[tcp.EXPIRIES] += 1
    elif closed_by == _PEER:
        t.now[tcp.CLOSED_BY_PEER] += 1
    else:
        t.now[tcp.CLOSED_BY_US] += 1
    if e.truncated:
        t.now[tcp.TRUNCATED] += 1
    e.timed_out = timed_out
    e.closed_by = closed_by
    e.control = (c.flags & _CONTROL) != 0
    e.left_host = (c.flags & _LEFT) != 0
    give_in(t, c)


@part
def let_go(t: Any, slot: Any, how: Any) -> None:
    """Nothing is left of a connection but a row among the closed ones."""
    c = t.connections[slot]
    give_in(t, c)
    give_out(t, c)
    disarm(t, slot)
    remember(t, c, how)
    remove(t, slot)


@part
def abort(t: Any, slot: Any) -> None:
    """End a connection by RST (3.10.5), as the peer would expect its next segment."""
    c = t.connections[slot]
    ours, peer, own_port, peer_port = np.int64(c.ours), np.int64(c.peer), np.int64(c.own_port), np.int64(c.peer_port)
    reset(t, ours, peer, own_port, peer_port, np.int64(c.top), np.int64(c.rcv), True)
    let_go(t, slot, tcp.BY_RESET)


@piece
def finished(c: Any) -> Any:
    """Both sides have closed and know it of each other (TIME-WAIT)."""
    both = _FIN_WANTED | _PEER_FIN
    return (c.flags & both) == both and gap(c.una, plus(c.base, c.said)) == 1


@part
def shut(t: Any, slot: Any, by_reset: Any, now: Any) -> None:
    """The conversation is over: end our side."""
    c = t.connections[slot]
    c.flags |= _OVER
    if by_reset:
        abort(t, slot)
        return
    c.flags |= _FIN_WANTED
    c.say_at = now + LINGER
    c.total_at = _NEVER
    push(t, slot, now)
    if finished(c):
        let_go(t, slot, tcp.BY_FIN)


@part
def end(t: Any, slot: Any, closed_by: Any, timed_out: Any, now: Any) -> None:
    """A fixed conversation is over."""
    tell(t, slot, closed_by, timed_out, False, now)
    shut(t, slot, t.rules[_CLOSE_RESET] != 0, now)
