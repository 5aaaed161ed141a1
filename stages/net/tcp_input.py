"""Segments in (RFC 9293 3.10.7.4): what each does to its connection, in the order of the RFC. Pure.

    SYN          RFC 5961 4.2: never acceptable; a SYN-ACK that comes again says that our ACK was lost
    RST          RFC 5961 3.2: the exact number or nothing
    timestamp    RFC 7323 5: older than what was seen is a duplicate
    sequence     within the window, or it is answered with where we are (so are keep-alives)
    ACK          of what was sent, no more (RFC 5961 5.2); round trip, window, loss
    data, FIN    to their place

A fixed conversation ends here, by the peer's FIN or RST or by its limit; for others events are written. What comes for
a connection that was closed is answered so that the peer forgets it; what was never ours is not touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.net import ended, headers, ring, tcp
from stages.net.checksum import finish, sum_bytes
from stages.net.headers import load16, load32
from stages.net.jit import kernel, part, piece
from stages.net.sequence import gap, plus
from stages.net.tcp import borrow
from stages.net.tcp_control import answered, mark
from stages.net.tcp_ending import end, finished, let_go, received, tell
from stages.net.tcp_icmp import report
from stages.net.tcp_output import after, begin, measured, push, resend_first, reset, seal
from stages.net.tcp_pool import copy_in, drop_in, give_chunk, give_in, hold, reach, settle, write_in
from stages.net.tcp_table import find, hash_of, same
from stages.net.wide import copy_bytes, lent

_FIN, _SYN, _RST, _ACK = headers.TCP_FIN, headers.TCP_SYN, headers.TCP_RST, headers.TCP_ACK
_SYN_ACK = _SYN | _ACK
_PROTOCOL_TCP, _PROTOCOL_ICMP = headers.PROTOCOL_TCP, headers.PROTOCOL_ICMP
_TCP_WORD = np.uint64(headers.PROTOCOL_TCP)
_TCP_BYTES = headers.TCP_BYTES
_NOP, _STAMPS_OPTION = headers.OPTION_NOP, headers.OPTION_TIMESTAMPS
_NEVER, _NOWHERE, _CHUNK = tcp.NEVER, tcp.NOWHERE, tcp.CHUNK
_OBJECT, _ACK_NOW, _FIN_WANTED, _FIN_SEEN = tcp.OBJECT, tcp.ACK_NOW, tcp.FIN_WANTED, tcp.FIN_SEEN
_PEER_FIN, _OVER, _STARVED, _STAMPS, _LATE = tcp.PEER_FIN, tcp.OVER, tcp.STARVED, tcp.STAMPS, tcp.LATE
_EVENTS, _HEARD, _ENDINGS, _KEPT, _FRAMES = tcp.EVENTS, tcp.HEARD, tcp.ENDINGS, tcp.KEPT, tcp.FRAMES
_IDLE, _MAX_BYTES, _KEY = tcp.IDLE, tcp.MAX_BYTES, tcp.KEY
_DATA, _EOF, _RESET = tcp.DATA, tcp.EOF, tcp.RESET
_PEER, _US = ended.PEER, ended.US

#: Microseconds until data is acknowledged that came alone (RFC 9293 3.8.6.3 and RFC 1122 4.2.3.2: below half a second).
ACK_DELAY: int = 40_000
#: A segment of more bytes counts as two: a super-frame is several segments.
_SEVERAL: int = 1460
#: Answers to segments without data that we did not expect, for one connection: two confused sides come to an end.
MAX_CHALLENGES: int = 64
#: Duplicate ACKs that mean a loss (RFC 5681 3.2).
_LOSS: int = 3
#: Segments of the congestion window at most: slow start ends here.
_MAX_CWND: int = 64
#: An older arrival than this, in microseconds, is not believed: the clocks were set meanwhile.
_OLD: int = 1_000_000
#: Frames that one segment can cause at once, beside what `push` leaves for later.
_SPARE: int = 4


@part
def write_event(t: Any, slot: Any, kind: Any, now: Any) -> None:
    """For the dialogue of a connection. There is room, the caller has seen to it."""
    e = t.events[t.now[_EVENTS]]
    t.now[_EVENTS] += 1
    e.slot, e.kind, e.when, e.data_at, e.size = slot, kind, now, t.now[_HEARD], 0


@part
def hear(t: Any, slot: Any, size: Any, now: Any) -> None:
    """`size` bytes were put at the end of `heard` for a dialogue: its last event, if they follow on, or a new one."""
    c = t.connections[slot]
    number = np.int64(c.event)
    start = t.now[_HEARD]
    if 0 <= number < t.now[_EVENTS]:
        e = t.events[number]
        if e.slot == slot and e.kind == _DATA and e.data_at + e.size == start:
            e.size += size
            t.now[_HEARD] += size
            return
    c.event = t.now[_EVENTS]
    write_event(t, slot, _DATA, now)
    t.events[c.event].size = size
    t.now[_HEARD] += size


@part
def stray(t: Any, ours: Any, peer: Any, own_port: Any, peer_port: Any, data: Any, at: Any, size: Any) -> None:
    """A segment of no connection. For one that was closed: a RST, as from any closed port (3.10.7.1); to a FIN that
    comes again after both had closed, the last ACK (3.10.7.4, TIME-WAIT)."""
    flags = np.int64(data[at + 13])
    if flags & _RST:
        return
    row = t.closed[hash_of(t.rules[_KEY], peer, peer_port, ours, own_port) & (t.closed.size - 1)]
    if row.how == 0 or not same(row, peer, peer_port, ours, own_port):
        return
    seq, ack = np.int64(load32(data, at + 4)), np.int64(load32(data, at + 8))
    if flags & _SYN and seq != row.irs:
        return  # the same addresses and ports anew: whoever sent the SYN will continue it, or not
    t.now[tcp.STRAYS] += 1
    if flags & _ACK == 0:
        length = size + (1 if flags & _FIN else 0) + (1 if flags & _SYN else 0)
        reset(t, ours, peer, own_port, peer_port, np.int64(0), plus(seq, length), True)
    elif row.how == tcp.BY_FIN and gap(plus(seq, size), row.rcv) < 0 and flags & _SYN == 0:
        # All of it was received. A RST here would be one for a connection that ended well.
        if size or flags & _FIN:
            last_ack(t, row)
    else:
        reset(t, ours, peer, own_port, peer_port, ack, np.int64(0), False)


@piece
def last_ack(t: Any, row: Any) -> None:
    """The last ACK of a connection that both sides have closed."""
    ours, peer, own_port = np.int64(row.ours), np.int64(row.peer), np.int64(row.own_port)
    nxt, rcv = np.int64(row.nxt), np.int64(row.rcv)
    number = begin(t, _TCP_BYTES, ours, peer, own_port, np.int64(row.peer_port), nxt, rcv, 0x5000 | _ACK)
    if number >= 0:
        seal(t, number, _TCP_BYTES)


@part
def stamps(data: Any, at: Any, until: Any) -> Any:
    """Where the timestamps option stands in TCP options, 0: none, or none that can be read."""
    while at < until:
        kind = data[at]
        if kind == _NOP:
            at += 1
            continue
        if kind == 0 or at + 1 >= until:
            return np.int64(0)
        size = np.int64(data[at + 1])
        if size < 2 or at + size > until:
            return np.int64(0)
        if kind == _STAMPS_OPTION and size == 10:
            return np.int64(at)
        at += size
    return np.int64(0)


@part
def challenge(t: Any, slot: Any, now: Any) -> None:
    """Say where we are (RFC 5961 3.2, RFC 9293 3.10.7.4)."""
    c = t.connections[slot]
    if c.challenges < MAX_CHALLENGES:
        c.challenges += 1
        t.now[tcp.CHALLENGES] += 1
        c.flags |= _ACK_NOW
        push(t, slot, now)


@part
def acknowledge(t: Any, slot: Any, ack: Any, arrival: Any) -> None:
    """SND.UNA < SEG.ACK =< the highest SND.NXT."""
    c = t.connections[slot]
    if c.timed_at != _NEVER and gap(ack, c.timed) >= 0:
        measured(c, max(arrival - c.timed_at, 1))
        c.timed_at = _NEVER
    c.una = ack
    if gap(c.nxt, ack) < 0:
        c.nxt = ack
    c.backoff = c.repeats = 0
    if c.cwnd < _MAX_CWND:
        c.cwnd += 1
    c.resend_at = _NEVER  # `push` sets it anew where there is more (RFC 6298 5.2, 5.3)
    if c.flags & _OBJECT:
        done = gap(ack, c.base)
        while c.out_head != _NOWHERE and c.out_from + _CHUNK <= done:
            if c.out_tail == c.out_head:
                c.out_tail = _NOWHERE
            c.out_head = give_chunk(t, c.out_head)
            c.out_from += _CHUNK


@part
def take(t: Any, slot: Any, seq: Any, data: Any, at: Any, size: Any, now: Any) -> Any:
    """Data that touches the window, to its place. Returns whether RCV.NXT moved."""
    c = t.connections[slot]
    early = gap(c.rcv, seq)  # bytes that we have
    if early > 0:
        seq, at, size = np.int64(c.rcv), at + early, size - early
    size = min(size, gap(c.edge, seq))
    if c.flags & _FIN_SEEN:
        size = min(size, gap(c.fin_at, seq))  # behind its FIN there is nothing, whatever it says
    if size <= 0:
        t.now[tcp.DUPLICATES] += 1
        return False
    offset = gap(seq, c.irs) - 1
    ahead = gap(seq, c.rcv)
    if ahead > 0:
        t.now[tcp.OUT_OF_ORDER] += 1
        done = write_in(t, c, offset, data, at, size)
        if not done or not hold(t, slot, seq, plus(seq, done)):
            t.now[tcp.NOT_HELD] += 1
        return False
    if c.flags & _OBJECT and c.ranges == 0:
        copy_bytes(t.heard, t.now[_HEARD], data, at, size)
        c.rcv = plus(c.rcv, size)
        c.given += size
        hear(t, slot, size, now)
        if c.in_head != _NOWHERE:  # what was not held out of order
            give_in(t, c)
        return True
    if not c.flags & _OBJECT and offset >= t.rules[_MAX_BYTES]:
        done = size  # not kept: it ends the conversation
    else:
        done = write_in(t, c, offset, data, at, size)
        if done < size:
            c.flags |= _STARVED
            t.now[tcp.NOT_HELD] += 1
        if done == 0:
            return False
    if done == size:
        c.flags &= ~_STARVED
    c.rcv = reach(t, slot, plus(c.rcv, done))
    offset = gap(c.rcv, c.irs) - 1
    settle(t, c, offset)
    if c.flags & _OBJECT:
        more = offset - np.int64(c.given)
        copy_in(t, c, np.int64(c.given), offset, t.heard, t.now[_HEARD])
        c.given = offset
        hear(t, slot, more, now)
        if c.ranges == 0:
            give_in(t, c)
        else:
            drop_in(t, c, offset)
    return True


@piece
def owe_ack(c: Any, size: Any, now: Any) -> None:
    """Data in order: every second segment is acknowledged at once, one alone with the next frame or soon (3.8.6.3)."""
    c.unacked = min(c.unacked + (2 if size > _SEVERAL else 1), 2)
    if c.unacked >= 2:
        c.flags |= _ACK_NOW
    elif c.ack_at == _NEVER:
        c.ack_at = now + ACK_DELAY


@part
def segment_in(t: Any, data: Any, ip: Any, at: Any, end_at: Any, checked: Any, arrival: Any, now: Any) -> None:
    """One TCP segment, whole, at byte `at` of a block. `checked`: its checksum is meant to be right."""
    header = np.int64(data[at + 12] >> 4) * 4
    if header < _TCP_BYTES or at + header > end_at:
        return
    if checked and finish(sum_bytes(data, ip + 12, ip + 20) + _TCP_WORD + np.uint64(end_at - at)
                          + sum_bytes(data, at, end_at)):  # fmt: skip
        t.now[tcp.BAD_CHECKSUMS] += 1
        return
    t.now[tcp.SEGMENTS_IN] += 1
    peer, ours = np.int64(load32(data, ip + 12)), np.int64(load32(data, ip + 16))
    peer_port, own_port = np.int64(load16(data, at)), np.int64(load16(data, at + 2))
    text = at + header
    size = end_at - text
    flags = np.int64(data[at + 13])
    slot = find(t, peer, peer_port, ours, own_port)
    if slot == _NOWHERE:
        control = t.rules[tcp.CONTROL_ON] and flags & (_SYN_ACK | _RST) == _SYN_ACK
        if control and answered(t, peer, peer_port, ours, own_port, np.int64(load32(data, at + 8))):
            return
        stray(t, ours, peer, own_port, peer_port, data, at, size)
        return
    c = t.connections[slot]
    mark(t, c)
    seq, ack = np.int64(load32(data, at + 4)), np.int64(load32(data, at + 8))

    if flags & _RST:
        if seq == c.rcv:
            if c.flags & _OBJECT and not c.flags & _OVER:
                write_event(t, slot, _RESET, arrival)
                t.now[tcp.RESETS_SEEN] += 1
            else:
                tell(t, slot, _PEER, False, True, arrival)
            let_go(t, slot, tcp.BY_RESET)
        elif 0 < gap(seq, c.rcv) < gap(c.edge, c.rcv):
            challenge(t, slot, now)
        return
    if flags & _SYN:
        if flags & _ACK and seq == c.irs and ack == c.base and c.una == c.base and gap(c.rcv, c.irs) == 1:
            c.nxt = c.una  # our first segment was lost: once more
            c.timed_at = _NEVER
            c.flags |= _ACK_NOW
            t.now[tcp.RETRANSMITTED] += c.top == c.base
            push(t, slot, now)
        else:
            challenge(t, slot, now)
        return
    if flags & _ACK == 0:
        return

    # RFC 7323 5.3 R1-R3. A segment without the option is taken, as most systems do (3.2 would have it dropped).
    option = stamps(data, at + _TCP_BYTES, text) if c.flags & _STAMPS and header > _TCP_BYTES else np.int64(0)
    if option:
        value = np.int64(load32(data, option + 2))
        if gap(value, c.ts_recent) < 0:
            t.now[tcp.UNACCEPTABLE] += 1
            c.flags |= _ACK_NOW
            push(t, slot, now)
            return
        if gap(seq, c.acked) <= 0:
            c.ts_recent = value

    fin = flags & _FIN
    room = gap(c.edge, c.rcv)
    ahead = gap(seq, c.rcv)
    behind = ahead + size + (1 if fin else 0)  # where it ends
    acceptable = ahead < room and behind > 0 if size or fin else 0 <= ahead <= room
    if not acceptable:
        t.now[tcp.UNACCEPTABLE] += 1
        if size or fin:
            if behind <= 0:
                t.now[tcp.DUPLICATES] += 1
            c.flags |= _ACK_NOW
            if room == 0 and ahead == 0 and 0 < gap(ack, c.una) <= gap(c.top, c.una):
                acknowledge(t, slot, ack, arrival)  # into a closed window: its ACK counts (3.10.7.4)
            push(t, slot, now)
        else:
            challenge(t, slot, now)
        return

    fresh = gap(ack, c.una)
    if fresh > gap(c.top, c.una) or fresh < -np.int64(c.max_wnd) - 1:
        challenge(t, slot, now)  # of what was never sent, or too old to be true
        return
    wnd = np.int64(load16(data, at + 14)) << np.int64(c.scale)
    if fresh > 0:
        acknowledge(t, slot, ack, arrival)
    elif fresh == 0 and not size and not fin and wnd == c.wnd and gap(c.top, c.una) > 0:
        c.repeats = min(c.repeats + 1, _LOSS + 1)
        if c.repeats == _LOSS:
            resend_first(t, slot, now)
            c.resend_at = now + after(c)
    if fresh >= 0 and (gap(seq, c.wl1) > 0 or (seq == c.wl1 and gap(ack, c.wl2) >= 0)):
        if wnd > 0 and c.wnd == 0 and c.resend_at != _NEVER and gap(c.nxt, c.una) == 0:
            c.resend_at = _NEVER  # it was the time of the next probe
            c.backoff = 0
        c.wnd, c.wl1, c.wl2 = wnd, seq, ack
        if wnd > c.max_wnd:
            c.max_wnd = wnd

    if c.flags & _OVER:
        if size and behind > (1 if fin else 0):  # bytes for nobody (RFC 1122 4.2.2.13)
            reset(t, ours, peer, own_port, peer_port, np.int64(c.top), np.int64(c.rcv), True)
            let_go(t, slot, tcp.BY_RESET)
            return
    elif size:
        gaps = c.ranges
        moved = take(t, slot, seq, data, text, size, arrival)
        if moved:
            if c.first_byte < 0:
                c.first_byte = max(arrival - c.began, 0)
            c.flags &= ~_LATE
            if not c.flags & _OBJECT:
                c.say_at = now + t.rules[_IDLE]
            owe_ack(c, size, now)
        if not moved or gaps or ahead < 0:  # also what fills a gap is acknowledged at once (RFC 5681 4.2)
            c.flags |= _ACK_NOW
    if fin and not c.flags & _FIN_SEEN and ahead + size <= room:
        c.flags |= _FIN_SEEN
        c.fin_at = plus(seq, size)
    if fin:
        c.flags |= _ACK_NOW
    closed = False
    if c.flags & _FIN_SEEN and not c.flags & _PEER_FIN and gap(c.rcv, c.fin_at) >= 0:
        if c.rcv == c.fin_at:
            c.rcv = plus(c.rcv, 1)  # never back: what was acknowledged behind it stays so
        c.flags |= _PEER_FIN | _ACK_NOW
        closed = True

    if c.flags & _OVER:
        push(t, slot, now)
        if finished(c):
            let_go(t, slot, tcp.BY_FIN)
    elif c.flags & _OBJECT:
        if closed:
            write_event(t, slot, _EOF, arrival)
        push(t, slot, now)
    elif received(c) > t.rules[_MAX_BYTES]:
        end(t, slot, _US, False, arrival)
    elif closed:
        end(t, slot, _PEER, False, arrival)
    else:
        push(t, slot, now)


@piece
def has_space(t: Any) -> Any:
    """Whether the worst that one packet can do has room in what goes out."""
    return (
        t.now[_FRAMES] + _SPARE <= t.frames.shape[0]
        and t.now[_EVENTS] + _SPARE <= t.events.size
        and t.now[_HEARD] + tcp.SUPER <= t.heard.size
        and t.now[_ENDINGS] + _SPARE <= t.endings.size
        and t.now[_KEPT] + t.rules[_MAX_BYTES] <= t.kept.size
    )


@kernel
def receive(t: Any, data: Any, table: Any, start: Any, count: Any, behind: Any, now: Any) -> Any:
    """Packets of a block: rows start .. count - 1 of `table` (see `net.ring`). `behind`: what our clock is behind the
    packets' times, microseconds. Returns the row to go on with once the results are taken away, or `count`."""
    t = borrow(t)
    data = lent(data)
    for i in range(start, count):
        if not has_space(t):
            return i
        ip, captured = table[i, ring.IP], table[i, ring.END]
        layer4, end_at, here = ring.ipv4(data, ip, captured)
        if layer4 < 0 or not here:
            continue
        protocol = data[ip + 9]
        if protocol == _PROTOCOL_TCP:
            if layer4 + _TCP_BYTES <= end_at:
                arrival = min(max(table[i, ring.TIME] - behind, now - _OLD), now)
                segment_in(t, data, ip, layer4, end_at, table[i, ring.FINISHED] != 0, arrival, now)
        elif protocol == _PROTOCOL_ICMP:
            report(t, data, ip, layer4, end_at, table[i, ring.FINISHED] != 0, now)
    return count
