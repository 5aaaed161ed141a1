"""Segments out (RFC 9293 3.10.2, 3.8): what may be sent now, written as frames. Pure.

`push` sends what is to be said as far as the peer's window and the congestion window let it, then the bare ACK if one
is owed and nothing carried it, and sets the deadline for the answer. Going back after a loss means to set SND.NXT back
to SND.UNA and to push: what the peer had already is acknowledged past by its first answer.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import headers, tcp
from stages.net.checksum import finish, sum_bytes
from stages.net.jit import part, piece
from stages.net.sequence import gap, plus, put16, put32
from stages.net.tcp_pool import free_room
from stages.net.tcp_wheel import arm
from stages.net.wide import copy_bytes

_FIN, _RST, _PSH, _ACK, _SYN = headers.TCP_FIN, headers.TCP_RST, 0x08, headers.TCP_ACK, headers.TCP_SYN
_IP_AT, _TTL, _FRAMES, _SEGMENTS_OUT, _NOT_SENT = tcp.IP_AT, tcp.TTL, tcp.FRAMES, tcp.SEGMENTS_OUT, tcp.NOT_SENT
_RETRANSMITTED = tcp.RETRANSMITTED
_OBJECT, _ACK_NOW, _FIN_WANTED, _STAMPS, _LEFT = tcp.OBJECT, tcp.ACK_NOW, tcp.FIN_WANTED, tcp.STAMPS, tcp.LEFT
_NEVER, _CHUNK, _WINDOW, _SACK = tcp.NEVER, tcp.CHUNK, tcp.WINDOW, tcp.SACK
_TCP = np.uint64(headers.PROTOCOL_TCP)
_STAMP_BYTES = 12  # NOP, NOP, and the option (RFC 7323 appendix A)
#: Blocks of the SACK option that an acknowledgement has room for, without timestamps and with (RFC 2018 3).
_BLOCKS = 4
_BLOCKS_BESIDE_STAMPS = 3
_MS = 1000

#: Microseconds. RFC 6298 asks for 1 s at least and lets go lower who knows better: a scan waits a few seconds in all.
RTO_LEAST: Final = 200_000
RTO_FIRST: Final = 1_000_000  #: no round trip is known (2.1)
RTO_MOST: Final = 16_000_000
#: Retransmissions of one segment. Mostly the deadline of the conversation comes first.
TRIES: Final = 8


@piece
def stamp(c: Any, now: Any) -> Any:
    """Our TSval (RFC 7323 5.4: milliseconds), which goes on from the one in our SYN."""
    return plus(c.ts_base, now // _MS)


@part
def begin(
    t: Any, size: Any, ours: Any, peer: Any, own_port: Any, peer_port: Any, seq: Any, ack: Any, flags: Any
) -> Any:
    """The next row of `frames` with its IPv4 header and the first 14 bytes of its TCP header: `size` bytes in all from
    the TCP header on, which is `flags`' upper byte long. Returns the row's number, -1: no room, which is counted."""
    number = t.now[_FRAMES]
    if number >= t.frames.shape[0]:
        t.now[_NOT_SENT] += 1
        return np.int64(-1)
    t.now[_FRAMES] += 1
    t.now[_SEGMENTS_OUT] += 1
    row = t.frames[number]
    ip = t.rules[_IP_AT]
    total = headers.IPV4_BYTES + size
    t.lengths[number] = ip + total
    put16(row, ip, 0x4500)
    put16(row, ip + 2, total)
    put32(row, ip + 4, 0x00004000)  # identification 0 is free to choose where fragments are forbidden (RFC 6864 4.1)
    row[ip + 8] = t.rules[_TTL]
    row[ip + 9] = headers.PROTOCOL_TCP
    put16(row, ip + 10, 0)
    put32(row, ip + 12, np.int64(ours))
    put32(row, ip + 16, np.int64(peer))
    put16(row, ip + 10, np.int64(finish(sum_bytes(row, ip, ip + 20))))
    at = ip + headers.IPV4_BYTES
    put16(row, at, np.int64(own_port))
    put16(row, at + 2, np.int64(peer_port))
    put32(row, at + 4, np.int64(seq))
    put32(row, at + 8, np.int64(ack))
    put16(row, at + 12, np.int64(flags))
    put32(row, at + 14, 0)  # window and, until `seal`, checksum
    put16(row, at + 18, 0)
    return number


@piece
def seal(t: Any, number: Any, size: Any) -> None:
    """The checksum of a row whose segment, of `size` bytes, is written."""
    row = t.frames[number]
    ip = t.rules[_IP_AT]
    at = ip + headers.IPV4_BYTES
    total = sum_bytes(row, ip + 12, at) + _TCP + np.uint64(size) + sum_bytes(row, at, at + size)
    put16(row, at + 16, np.int64(finish(total)))


@piece
def copy_out(t: Any, c: Any, offset: Any, size: Any, row: Any, at: Any) -> None:
    """Bytes of what we say, from `offset` on, into row[at:]."""
    if not c.flags & _OBJECT:
        copy_bytes(row, at, t.payload, offset, size)
        return
    chunk, base = c.out_head, np.int64(c.out_from)
    done = 0
    while done < size:
        while offset + done >= base + _CHUNK:
            chunk = t.links[chunk]
            base += _CHUNK
        first = offset + done - base
        count = min(_CHUNK - first, size - done)
        copy_bytes(row, at + done, t.pool[chunk], first, count)
        done += count


@piece
def offer(t: Any, c: Any) -> Any:
    """The window field; notes the edge. It is never taken back (RFC 9293 3.8.6), and no more than the pool takes."""
    room = np.int64(_WINDOW)
    if not c.flags & _OBJECT:
        room = min(room, free_room(t))
    least = gap(c.edge, c.rcv)
    shift = np.int64(c.own_scale)
    field = room >> shift
    if field << shift < least:
        field = (least + (np.int64(1) << shift) - 1) >> shift
    if field > 0xFFFF:
        field = np.int64(0xFFFF)
    c.edge = plus(c.rcv, field << shift)
    return field


@piece
def sack(t: Any, slot: Any, blocks: Any, row: Any, at: Any) -> None:
    """The SACK option of so many blocks: what is held behind gaps, what came last first (RFC 2018 4)."""
    put32(row, at, 0x01010500 | (2 + 8 * blocks))
    last = np.int64(t.connections[slot].ranges) - 1
    for k in range(blocks):
        put32(row, at + 4 + 8 * k, np.int64(t.ranges[slot, last - k, 0]))
        put32(row, at + 8 + 8 * k, np.int64(t.ranges[slot, last - k, 1]))


@part
def segment(t: Any, slot: Any, seq: Any, flags: Any, offset: Any, size: Any, now: Any) -> Any:
    """One segment of a connection with ACK; False: no room for it."""
    c = t.connections[slot]
    options = _STAMP_BYTES if c.flags & _STAMPS else 0
    blocks = np.int64(0)
    if c.ranges and size == 0 and c.flags & _SACK:
        blocks = min(np.int64(c.ranges), np.int64(_BLOCKS_BESIDE_STAMPS if options else _BLOCKS))
    length = headers.TCP_BYTES + options + (4 + 8 * blocks if blocks else 0)
    head = (length >> 2) << 12 | flags | _ACK
    ours, peer, own_port, peer_port = np.int64(c.ours), np.int64(c.peer), np.int64(c.own_port), np.int64(c.peer_port)
    number = begin(t, length + size, ours, peer, own_port, peer_port, seq, np.int64(c.rcv), head)
    if number < 0:
        return False
    row = t.frames[number]
    at = t.rules[_IP_AT] + headers.IPV4_BYTES
    put16(row, at + 14, offer(t, c))
    if options:
        put32(row, at + 20, 0x0101080A)
        put32(row, at + 24, stamp(c, now))
        put32(row, at + 28, np.int64(c.ts_recent))
    if blocks:
        sack(t, slot, blocks, row, at + headers.TCP_BYTES + options)
    copy_out(t, c, offset, size, row, at + length)
    seal(t, number, length + size)
    c.acked = c.rcv
    c.ack_at = _NEVER
    c.unacked = 0
    c.flags = (c.flags & ~_ACK_NOW) | _LEFT
    return True


@part
def reset(t: Any, ours: Any, peer: Any, own_port: Any, peer_port: Any, seq: Any, ack: Any, with_ack: Any) -> None:
    """A RST; 3.10.7.1: SEQ is what the other side expects next, where that is known."""
    flags = 0x5000 | _RST | (_ACK if with_ack else 0)
    number = begin(t, headers.TCP_BYTES, ours, peer, own_port, peer_port, seq, ack, flags)
    if number >= 0:
        seal(t, number, headers.TCP_BYTES)
        t.now[tcp.RESETS_SENT] += 1


@part
def resend_first(t: Any, slot: Any, now: Any) -> None:
    """The segment at SND.UNA once more, without going back (RFC 5681 3.2)."""
    c = t.connections[slot]
    offset = gap(c.una, c.base)
    left = np.int64(c.said) - offset
    size = min(min(np.int64(c.mss), left), np.int64(c.wnd))
    fin = c.flags & _FIN_WANTED and size == left and np.int64(c.wnd) > size and gap(c.top, c.una) > size
    if size > 0 or fin:
        segment(t, slot, np.int64(c.una), _FIN if fin else _PSH, offset, max(size, 0), now)
        t.now[_RETRANSMITTED] += 1
        c.timed_at = _NEVER  # Karn's algorithm (RFC 6298 3)


@piece
def after(c: Any) -> Any:
    """Microseconds until we send again: RTO, doubled with each try (RFC 6298 5.5)."""
    tries: Any = np.int64(c.backoff)
    return min(int(c.rto) << min(tries, 10), RTO_MOST)


@part
def push(t: Any, slot: Any, now: Any) -> None:
    """Send what may be sent, and set the deadlines; see the module's docstring."""
    c = t.connections[slot]
    said = np.int64(c.said)
    fin_bytes = 1 if c.flags & _FIN_WANTED else 0
    mss = np.int64(c.mss)
    window = min(np.int64(c.wnd), np.int64(c.cwnd) * mss)
    waits = False  # there is something to say that the window holds back
    full = False
    while True:
        offset = gap(c.nxt, c.base)
        if offset >= said + fin_bytes:
            break
        left = max(said - offset, 0)
        usable = window - gap(c.nxt, c.una)
        size = min(min(mss, left), usable)
        # Silly windows (3.8.6.2.1): a small segment only if it is the last, or half of the largest window, or alone.
        if 0 < size < min(mss, left) and size < np.int64(c.max_wnd) // 2 and gap(c.nxt, c.una) > 0:
            size = 0
        size = max(size, 0)
        fin = fin_bytes and size == left and usable > size
        if size == 0 and not fin:
            waits = True
            break
        flags = (_FIN if fin else 0) | (_PSH if size and size == left else 0)
        if not segment(t, slot, np.int64(c.nxt), flags, offset, size, now):
            full = True
            break
        again = gap(c.nxt, c.top) < 0
        end = plus(c.nxt, size + (1 if fin else 0))
        c.nxt = end
        if again:
            t.now[_RETRANSMITTED] += 1
        if gap(end, c.top) > 0:
            c.top = end
            if c.timed_at == _NEVER and not again and c.backoff == 0:
                c.timed_at, c.timed = now, end
    if gap(c.top, c.una) > 0 or waits:
        if c.resend_at == _NEVER:
            c.resend_at = now + after(c) if c.backoff < TRIES else _NEVER
    else:
        c.resend_at = _NEVER
    if c.flags & _ACK_NOW and not full:
        # SEQ is the highest one: a lower one would not be acceptable to the peer, and the ACK be ignored (3.10.7.4).
        full = not segment(t, slot, np.int64(c.top), 0, np.int64(0), np.int64(0), now)
    if full:
        c.ack_at = now  # as soon as there is room
    arm(t, slot)


@part
def probe_window(t: Any, slot: Any, now: Any) -> None:
    """Ask for the window (3.8.6.1). Our segment has no byte beyond the window, but an old number: that is answered."""
    c = t.connections[slot]
    segment(t, slot, plus(c.una, -1), 0, np.int64(0), np.int64(0), now)


@piece
def measured(c: Any, trip: Any) -> None:
    """A round trip in microseconds: the retransmission timeout from it (RFC 6298 2.2, 2.3)."""
    if c.srtt < 0:
        c.srtt = trip
        c.rttvar = trip // 2
    else:
        c.rttvar = (3 * np.int64(c.rttvar) + abs(np.int64(c.srtt) - trip)) // 4
        c.srtt = (7 * np.int64(c.srtt) + trip) // 8
    spread = max(4 * int(c.rttvar), tcp.TICK)
    c.rto = min(max(int(c.srtt) + spread, RTO_LEAST), RTO_MOST)
