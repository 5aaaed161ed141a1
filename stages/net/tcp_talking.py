"""Opening connections, and what a dialogue outside has to say: batches in. Pure.

A fixed conversation is opened with its first words in the segment that completes the handshake. For a dialogue that is
an object `open_dialogues` makes the connection and `obey` does what the object wants, the first words too.
"""

from __future__ import annotations

import errno
from typing import Any, Final

import numpy as np

from stages.net import ended, tcp
from stages.net.jit import kernel, part, piece
from stages.net.sequence import plus
from stages.net.tcp import borrow
from stages.net.tcp_control import ask
from stages.net.tcp_ending import abort, shut
from stages.net.tcp_input import has_space, write_event
from stages.net.tcp_output import RTO_FIRST, measured, push, reset
from stages.net.tcp_pool import take_chunk
from stages.net.tcp_table import add, find, forget, has_room
from stages.net.wide import copy_bytes

_OBJECT, _ACK_NOW, _STAMPS, _LATE, _OVER, _USED = (
    tcp.OBJECT, tcp.ACK_NOW, tcp.STAMPS, tcp.LATE, tcp.OVER, tcp.USED,
)  # fmt: skip
_NEVER, _NOWHERE, _CHUNK = tcp.NEVER, tcp.NOWHERE, tcp.CHUNK
_WAIT, _FIRST, _TOTAL, _OWN_SCALE, _MSS_MOST = tcp.WAIT, tcp.FIRST, tcp.TOTAL, tcp.OWN_SCALE, tcp.MSS_MOST
_MSS_DEFAULT, _MSS_LEAST, _MAX_SCALE, _WINDOW = tcp.MSS_DEFAULT, tcp.MSS_LEAST, tcp.MAX_SCALE, tcp.WINDOW
_STAMP_BYTES = 12
_EADDRINUSE = errno.EADDRINUSE
_US, _READ = ended.US, ended.READ

#: Segments that may leave before the first ACK (RFC 6928).
_FIRST_CWND = 10
#: Bytes that a dialogue may have said and the peer not acknowledged, all in all: what sequence numbers stand for twice.
_MOST_SAID = 1 << 30
#: A round trip beyond this, in seconds, is none.
_MOST_RTT = 60.0

#: What a dialogue wants of its connection.
COMMAND: Final = np.dtype(
    [
        ("slot", "i4"), ("close", "i4"),  # OPEN_STILL, WITH_FIN, WITH_RESET
        ("at", "i8"), ("size", "i8"),  # bytes to say
        ("say_at", "i8"), ("total_at", "i8"),  # deadlines; KEEP: as they are
    ],
    align=True,
)  # fmt: skip
OPEN_STILL: Final = 0
WITH_FIN: Final = 1
WITH_RESET: Final = 2
KEEP: Final = -1
#: Instead of a slot: the connection is open already.
EXISTS: Final = -2
#: EVENT kind: what the dialogue said finds no room.
NO_ROOM: Final = 5


@piece
def is_open(t: Any, h: Any) -> Any:
    """Whether the connection of a HALFOPEN row is in the table."""
    slot = find(t, np.int64(h.peer), np.int64(h.peer_port), np.int64(h.ours), np.int64(h.own_port))
    return slot != _NOWHERE


@part
def begin_at(t: Any, h: Any, now: Any, wall: Any) -> Any:
    """A connection from a HALFOPEN row (RFC 9293 3.10.7.3, the last part: SYN-SENT that becomes ESTABLISHED)."""
    peer, peer_port, ours, own_port = np.int64(h.peer), np.int64(h.peer_port), np.int64(h.ours), np.int64(h.own_port)
    slot = add(t, peer, peer_port, ours, own_port)
    forget(t, peer, peer_port, ours, own_port)
    c = t.connections[slot]
    c.flags |= _ACK_NOW
    c.una = c.nxt = c.top = c.base = c.wl2 = h.ack
    c.irs = c.wl1 = h.seq
    c.rcv = c.acked = plus(h.seq, 1)
    c.edge = plus(c.rcv, _WINDOW)
    c.said = 0
    c.wnd = c.max_wnd = h.window
    own = t.rules[_OWN_SCALE]
    both = own >= 0 and h.wscale >= 0  # RFC 7323 2.2: only if both sides have sent the option
    c.scale = min(h.wscale, _MAX_SCALE) if both else 0
    c.own_scale = own if both else 0
    mss = np.int64(h.mss) if h.mss else np.int64(_MSS_DEFAULT)
    mss = min(mss, t.rules[_MSS_MOST])
    if h.sack:
        c.flags |= tcp.SACK
    if h.has_ts:
        mss -= _STAMP_BYTES  # RFC 6691: the option says nothing of options
        c.flags |= _STAMPS
        c.ts_recent = h.ts_val
        age = max(wall - h.ts, 0) // 1000
        c.ts_base = plus(h.ts_ecr, age - now // 1000)
    c.mss = max(mss, _MSS_LEAST)
    c.ack_at = c.resend_at = c.timed_at = _NEVER
    c.before = c.behind = c.bucket = _NOWHERE
    c.backoff = c.repeats = c.unacked = c.challenges = c.ranges = 0
    c.cwnd = _FIRST_CWND
    c.in_head = c.in_here = c.out_head = c.out_tail = _NOWHERE
    c.in_from = c.in_at = c.out_from = c.given = 0
    c.event = _NOWHERE
    c.errno = 0
    c.icmp_type = c.icmp_code = 0
    c.icmp_sender = 0
    c.first_byte = -1
    c.srtt = -1
    c.rto = RTO_FIRST
    c.rtt = -1
    trip = np.int64(0)
    if 0.0 <= h.rtt <= _MOST_RTT:
        trip = np.int64(h.rtt * 1e6)
        c.rtt = trip
        measured(c, trip)
    c.began = now - trip
    c.started = wall - trip
    c.tag = h.tag
    if t.rules[tcp.CONTROL_ON]:
        ask(t, c)
    t.now[tcp.OPENED] += 1
    return slot


@part
def refuse(t: Any, h: Any, wall: Any) -> None:
    """The connection is in the table already."""
    t.now[tcp.REFUSED] += 1
    e = t.endings[t.now[tcp.ENDINGS]]
    t.now[tcp.ENDINGS] += 1
    e.tag, e.started, e.connected, e.first_byte, e.ended = h.tag, wall, np.nan, np.nan, 0.0
    e.peer, e.peer_port, e.ours, e.own_port = h.peer, h.peer_port, h.ours, h.own_port
    e.data_at, e.data_size, e.size, e.sent, e.acked = t.now[tcp.KEPT], 0, 0, 0, 0
    e.errno, e.failed, e.phase, e.closed_by = _EADDRINUSE, 1, _READ, _US
    e.has_icmp = e.icmp_type = e.icmp_code = e.truncated = e.timed_out = e.control = e.left_host = 0
    e.icmp_sender = 0


@kernel
def open_fixed(t: Any, half: Any, start: Any, now: Any, wall: Any) -> Any:
    """Begin fixed conversations with rows start .. of HALFOPEN. `wall`: microseconds since the epoch. Returns the row
    to go on with when there is room again, or their number."""
    t = borrow(t)
    for i in range(start, half.size):
        if not has_space(t) or not has_room(t):
            return i
        h = half[i]
        if is_open(t, h):
            refuse(t, h, wall)
            continue
        slot = begin_at(t, h, now, wall)
        c = t.connections[slot]
        c.total_at = c.began + t.rules[_TOTAL]
        if t.payload.size and t.rules[_WAIT]:
            c.flags |= _LATE
            c.say_at = now + t.rules[_WAIT]
        else:
            c.said = t.payload.size
            c.say_at = now + t.rules[_FIRST]
        push(t, slot, now)
    return half.size


@kernel
def open_dialogues(t: Any, half: Any, slots: Any, now: Any, wall: Any) -> Any:
    """Make connections for rows of HALFOPEN; nothing leaves until `obey`. `slots` gets the slot of each, or EXISTS.
    Returns how many rows were done."""
    t = borrow(t)
    for i in range(half.size):
        if not has_space(t) or not has_room(t):
            return i
        h = half[i]
        if is_open(t, h):
            t.now[tcp.REFUSED] += 1
            slots[i] = EXISTS
            continue
        slot = begin_at(t, h, now, wall)
        c = t.connections[slot]
        c.flags |= _OBJECT
        c.say_at = c.total_at = _NEVER
        slots[i] = slot
    return half.size


@part
def say(t: Any, c: Any, data: Any, at: Any, size: Any) -> Any:
    """Put bytes behind what was said. False: there is no room, and some may be there."""
    if c.said + size > _MOST_SAID:
        return False
    done = 0
    while done < size:
        place = (c.said - c.out_from) % _CHUNK if c.out_tail != _NOWHERE else 0
        if place == 0:
            chunk = take_chunk(t)
            if chunk == _NOWHERE:
                return False
            if c.out_tail == _NOWHERE:
                c.out_head = chunk
                c.out_from = c.said
            else:
                t.links[c.out_tail] = chunk
            c.out_tail = chunk
        count = min(_CHUNK - place, size - done)
        copy_bytes(t.pool[c.out_tail], np.int64(place), data, at + done, count)
        c.said += count
        done += count
    return True


@kernel
def obey(t: Any, commands: Any, start: Any, count: Any, data: Any, now: Any) -> Any:
    """Do what dialogues want. Returns the command to go on with when there is room again, or `count`."""
    t = borrow(t)
    for i in range(start, count):
        if not has_space(t):
            return i
        wish = commands[i]
        slot = np.int64(wish.slot)
        c = t.connections[slot]
        if not c.flags & _USED or not c.flags & _OBJECT or c.flags & _OVER:
            continue  # it was reset meanwhile
        if wish.say_at != KEEP:
            c.say_at = wish.say_at
        if wish.total_at != KEEP:
            c.total_at = wish.total_at
        if wish.size and not say(t, c, data, wish.at, wish.size):
            c.said = (c.top - c.base) & 0xFFFFFFFF  # nothing of it
            write_event(t, slot, NO_ROOM, now)
        if wish.close == OPEN_STILL:
            push(t, slot, now)
        else:
            t.now[tcp.CLOSED_BY_US] += 1
            shut(t, slot, wish.close == WITH_RESET, now)
    return count


@kernel
def abort_every(t: Any, start: Any) -> Any:
    """Reset the connections of slots start .. and forget them; nothing is told. Returns the slot to go on with."""
    t = borrow(t)
    for slot in range(start, t.now[tcp.TOP_SLOT]):
        if not has_space(t):
            return slot
        if t.connections[slot].flags & _USED:
            abort(t, slot)
    return t.now[tcp.TOP_SLOT]


@kernel
def reset_half(t: Any, half: Any, start: Any) -> Any:
    """RSTs for half-open connections that nobody continues (3.10.7.1: SEQ=SEG.ACK). Returns the row to go on with."""
    t = borrow(t)
    for i in range(start, half.size):
        if not has_space(t):
            return i
        h = half[i]
        if not is_open(t, h):
            ours, peer, ack = np.int64(h.ours), np.int64(h.peer), np.int64(h.ack)
            reset(t, ours, peer, np.int64(h.own_port), np.int64(h.peer_port), ack, np.int64(0), False)
    return half.size
