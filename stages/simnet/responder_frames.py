"""From the probes in a block of the ring to the frames that answer them: the responder's kernels. Pure.

    react     probes -> answers in rows; those that come later go into the queue
    mature    answers whose time has come -> rows

Nothing is remembered of a probe: every answer is made from the packet it answers, its reaction and the details. What
goes with delay waits as a finished frame; there is a queue for each delay, and what comes into one in order leaves it
in order, so no wheel is needed. A full queue loses answers and counts them.

What a connection says behind the handshake is `continued`: for now nothing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from stages.net import headers, ring
from stages.net.checksum import finish, sum_bytes
from stages.net.headers import load16, load32
from stages.net.jit import kernel, piece
from stages.net.ring import ipv4
from stages.simnet import responder_truth as truth
from stages.simnet.responder_spec import Reaction
from stages.simnet.responder_truth import (
    CODES,
    TYPES,
    copies_of,
    delay_of,
    details,
    drawn,
    error_of,
    is_lost,
    reaction_of,
    router_of,
    ttl_of,
)  # fmt: skip

#: Of a probe so much is read, and no answer is longer; a power of two, so that rows never straddle a UMEM chunk.
ROW_BYTES: Final = 512
#: Answers to one probe at most.
MAX_ANSWERS: Final = 4

#: What is counted. `refusals` are ICMP errors: the kernel of whoever probes knows of no socket with that port.
COUNTERS: Final = (
    "seen", "invalid", "syn", "ack", "data", "rst", "udp", "echo", "lost", "answers", "delayed", "overflow",
    "refusals",
)  # fmt: skip
_SEEN, _INVALID, _SYN, _ACK, _DATA, _RST, _UDP, _ECHO, _LOST, _ANSWERS, _DELAYED, _OVERFLOW, _REFUSALS = range(
    len(COUNTERS)
)

_ETHERNET, _L4 = headers.ETHERNET_BYTES, headers.ETHERNET_BYTES + headers.IPV4_BYTES
_TCP_BYTES, _UDP_BYTES, _ICMP_BYTES = headers.TCP_BYTES, 8, headers.ICMP_BYTES
_P_TCP, _P_UDP, _P_ICMP = headers.PROTOCOL_TCP, 17, headers.PROTOCOL_ICMP
_F_SYN, _F_RST, _F_ACK = headers.TCP_SYN, headers.TCP_RST, headers.TCP_ACK
_ECHO_REQUEST = headers.ICMP_ECHO
_UNREACHABLE, _HOST, _PORT = headers.ICMP_UNREACHABLE, 1, 3
_END, _NOP, _MSS = headers.OPTION_END, headers.OPTION_NOP, headers.OPTION_MSS
_WSCALE, _SACK, _STAMPS = headers.OPTION_WSCALE, headers.OPTION_SACK_PERMITTED, headers.OPTION_TIMESTAMPS
_DNS, _NTP = np.uint64(truth.DNS_PORT), np.uint64(123)
#: The header of a DNS message (RFC 1035 4.1.1).
_DNS_BYTES = 12
_NTP_BYTES = 48

_ZERO, _ONE, _S8, _S16 = np.uint64(0), np.uint64(1), np.uint64(8), np.uint64(16)
_LOW8, _LOW16, _LOW32 = np.uint64(0xFF), np.uint64(0xFFFF), np.uint64(0xFFFFFFFF)
#: What is wrong with a forged number. The port differs by more than the attempts that any scan makes.
_OTHER_NUMBER, _OTHER_PORT = np.uint64(0x01000001), np.uint64(0x0800)
_OWN_WINDOW, _OWN_MSS, _OWN_WSCALE = np.uint64(truth.WINDOW), np.uint64(truth.MSS), np.uint8(truth.WSCALE)

_SILENCE, _LOST_KIND, _DELAYED_KIND = int(Reaction.SILENCE), int(Reaction.LOST), int(Reaction.DELAYED)
_BARE, _TARPIT, _STALE = int(Reaction.BARE), int(Reaction.TARPIT), int(Reaction.STALE)
_RST_KIND, _RST_SEQ, _BLIND_RST = int(Reaction.RST), int(Reaction.RST_SEQ), int(Reaction.BLIND_RST)
_ICMP_8, _ICMP_28 = int(Reaction.ICMP_8), int(Reaction.ICMP_28)
_FORGED_ICMP, _SHORT_ICMP = int(Reaction.FORGED_ICMP), int(Reaction.SHORT_ICMP)
_DUPLICATE, _CONFUSED, _FORGED_FIRST = int(Reaction.DUPLICATE), int(Reaction.CONFUSED), int(Reaction.FORGED_FIRST)
_WRONG_ACK, _WRONG_PORT = int(Reaction.WRONG_ACK), int(Reaction.WRONG_PORT)
_OTHER_PORT_KIND, _OTHER_ADDRESS = int(Reaction.OTHER_PORT), int(Reaction.OTHER_ADDRESS)
_BAD_CHECKSUM, _BAD_IP = int(Reaction.BAD_CHECKSUM), int(Reaction.BAD_IP_CHECKSUM)
_T_TCP, _T_UDP, _T_ECHO = truth.TCP, truth.UDP, truth.ECHO


class Queue(NamedTuple):
    """Finished frames that wait, a ring for each delay."""

    rows: Any  # u8, delays x capacity x ROW_BYTES
    lengths: Any  # i64, delays x capacity
    due: Any  # i64, delays x capacity; nanoseconds
    heads: Any  # i64, delays: the next to leave
    tails: Any  # i64, delays: the next to come


def queue_of(delays: int, capacity: int) -> Queue:
    """An empty queue. The memory is the kernel's until it is used."""
    return Queue(
        np.zeros((delays, capacity, ROW_BYTES), np.uint8),
        np.zeros((delays, capacity), np.int64),
        np.zeros((delays, capacity), np.int64),
        np.zeros(delays, np.int64),
        np.zeros(delays, np.int64),
    )


@piece
def _put16(out: Any, at: Any, value: Any) -> None:
    first = np.uint64(at)
    out[first] = value >> _S8 & _LOW8
    out[first + _ONE] = value & _LOW8


@piece
def _put32(out: Any, at: Any, value: Any) -> None:
    _put16(out, at, value >> _S16 & _LOW16)
    _put16(out, at + 2, value & _LOW16)


@piece
def _network(out: Any, o: Any, data: Any, ip: Any, source: Any, protocol: Any, end: Any, detail: Any) -> None:
    """Ethernet and IPv4 headers at `o` of an answer to the packet at `ip`; `end` is where the answer ends."""
    for i in range(6):
        out[o + i] = data[ip - 8 + i]
        out[o + 6 + i] = data[ip - 14 + i]
    out[o + 12], out[o + 13] = 8, 0
    out[o + 14], out[o + 15] = 0x45, 0
    _put16(out, o + 16, np.uint64(end - o - _ETHERNET))
    _put16(out, o + 18, detail >> np.uint64(48))
    out[o + 20], out[o + 21] = 0x40, 0  # don't fragment
    out[o + 22], out[o + 23] = ttl_of(detail), protocol
    out[o + 24] = out[o + 25] = 0
    _put32(out, o + 26, source)
    for i in range(4):
        out[o + 30 + i] = data[ip + 12 + i]
    _put16(out, o + 24, finish(sum_bytes(out, o + _ETHERNET, o + _L4)))


@piece
def _seal(out: Any, o: Any, protocol: Any, end: Any, at: Any) -> None:
    """The layer 4 checksum of TCP or UDP, at offset `at`, over the pseudo-header too (RFC 9293 3.1)."""
    start = o + _L4
    total = sum_bytes(out, o + 26, start) + np.uint64(protocol) + np.uint64(end - start) + sum_bytes(out, start, end)
    value = finish(total)
    _put16(out, at, value if value != _ZERO or protocol != _P_UDP else _LOW16)


@piece
def _offered(data: Any, at: Any, end: Any) -> Any:
    """(whether there are SACK permitted and a window scale, offset of the timestamps or 0) in TCP options."""
    sack = scale = False
    stamps = np.int64(0)
    while at < end and data[at] != _END:
        if data[at] == _NOP:
            at += 1
            continue
        if at + 1 >= end:
            break
        size = np.int64(data[at + 1])
        if size < 2 or at + size > end:
            break
        if data[at] == _SACK:
            sack = True
        elif data[at] == _WSCALE:
            scale = True
        elif data[at] == _STAMPS and size == 10:
            stamps = at
        at += size
    return sack, scale, stamps


@piece
def _options(out: Any, at: Any, data: Any, layer4: Any, end: Any, detail: Any) -> Any:
    """The options of a SYN-ACK, at `at`, to what the SYN offered, laid out as Linux does; returns where they end."""
    last = min(layer4 + np.int64(data[layer4 + 12] >> 4) * 4, end)
    sack, scale, stamps = _offered(data, layer4 + _TCP_BYTES, last)
    out[at], out[at + 1] = _MSS, 4
    _put16(out, at + 2, _OWN_MSS)
    at += 4
    if sack or stamps:
        out[at] = out[at + 1] = _NOP
        if sack:
            first = at if stamps else at + 2
            if not stamps:
                out[at], out[at + 1] = _NOP, _NOP
            out[first], out[first + 1] = _SACK, 2
        at += 2 if stamps else 4
    if stamps:
        out[at], out[at + 1] = _STAMPS, 10
        _put32(out, at + 2, detail & _LOW32)
        for i in range(4):
            out[at + 6 + i] = data[stamps + 2 + i]
        at += 10
    if scale:
        out[at], out[at + 1], out[at + 2], out[at + 3] = _NOP, _WSCALE, 3, _OWN_WSCALE
        at += 4
    return at


@piece
def _segment(
    out: Any, o: Any, data: Any, layer4: Any, end: Any, sport: Any, dport: Any, ack: Any, flags: Any, detail: Any,
    kind: Any,
) -> Any:  # fmt: skip
    """A TCP segment of the answer at `o` without its checksum; returns where it ends."""
    at = o + _L4
    _put16(out, at, sport)
    _put16(out, at + 2, dport)
    opening = flags & _F_SYN
    _put32(out, at + 4, detail & _LOW32 if opening else _ZERO)
    _put32(out, at + 8, ack)
    last = at + _TCP_BYTES
    if opening and kind != _BARE:
        last = _options(out, last, data, layer4, end, detail)
    out[at + 12] = (last - at) // 4 << 4
    out[at + 13] = flags
    _put16(out, at + 14, _OWN_WINDOW if opening and kind != _TARPIT else _ZERO)
    _put32(out, at + 16, _ZERO)
    return last


@piece
def _datagram(out: Any, o: Any, data: Any, layer4: Any, end: Any, sport: Any, dport: Any, kind: Any) -> Any:
    """What was sent, sent back, as an answer where the protocol has a bit for it; returns where it ends."""
    at = o + _L4
    _put16(out, at, sport)
    _put16(out, at + 2, dport)
    size = end - layer4 if kind != _TARPIT else np.int64(_UDP_BYTES)
    if kind == _BARE and load16(data, layer4 + 2) == _DNS:
        size = min(size, np.int64(_UDP_BYTES + _DNS_BYTES))
    _put16(out, at + 4, np.uint64(size))
    out[at + 6] = out[at + 7] = 0
    for i in range(_UDP_BYTES, size):
        out[at + i] = data[layer4 + i]
    port = load16(data, layer4 + 2)
    body = at + _UDP_BYTES
    if port == _DNS and size > _UDP_BYTES + 2:
        out[body + 2] |= 0x80  # QR: a response (RFC 1035 4.1.1)
    elif port == _NTP and size >= _UDP_BYTES + _NTP_BYTES:
        out[body] = (out[body] & 0xF8) | 4  # mode: server; what it sent at is the origin (RFC 5905 7.3)
        for i in range(8):
            out[body + 24 + i] = out[body + 40 + i]
    return at + size


@piece
def _reply(out: Any, o: Any, data: Any, layer4: Any, end: Any, ident: Any, sequence: Any) -> Any:
    """An echo reply without its checksum; returns where it ends."""
    at = o + _L4
    out[at] = out[at + 1] = out[at + 2] = out[at + 3] = 0
    _put16(out, at + 4, ident)
    _put16(out, at + 6, sequence)
    for i in range(_ICMP_BYTES, end - layer4):
        out[at + i] = data[layer4 + i]
    return at + end - layer4


@piece
def _error(
    out: Any, o: Any, data: Any, ip: Any, layer4: Any, end: Any, icmp_type: Any, icmp_code: Any, quote: Any,
    forged: Any, kind: Any,
) -> Any:  # fmt: skip
    """An ICMP error without its checksum that quotes `quote` bytes behind the IP header; returns where it ends."""
    out[o + _L4], out[o + _L4 + 1] = icmp_type, icmp_code
    for i in range(2, _ICMP_BYTES):
        out[o + _L4 + i] = 0
    last = min(layer4 + quote, end)
    body = o + _L4 + _ICMP_BYTES
    for i in range(last - ip):
        out[body + i] = data[ip + i]
    if forged:  # TCP: the sequence number; UDP: our port, or the IP identification; ICMP: the identifier
        at = body + layer4 - ip + (0 if data[ip + 9] == _P_UDP else 4)
        if data[ip + 9] == _P_UDP and kind == _BLIND_RST:
            at = body + 4
        out[at] ^= np.uint8(0x08)
    return body + last - ip


@piece
def continued(data: Any, ip: Any, layer4: Any, end: Any, rules: Any, out: Any, o: Any) -> Any:
    """The answer to a segment behind the handshake (an ACK, with or without data), built at out[o:] (u8); returns its
    length, 0 for none. Without state: all that is known is the segment, whose numbers say how far both sides are."""
    return np.int64(0)


@piece
def _postpone(queue: Any, which: Any, rules: Any, out: Any, o: Any, size: Any, counters: Any, now: Any) -> None:
    capacity = queue.due.shape[1]
    if queue.tails[which] - queue.heads[which] >= capacity:
        counters[_OVERFLOW] += 1
        return
    at = queue.tails[which] % capacity
    for i in range(size):
        queue.rows[which, at, i] = out[o + i]
    queue.lengths[which, at] = size
    queue.due[which, at] = now + rules.delays[which]
    queue.tails[which] += 1
    counters[_DELAYED] += 1


@kernel
def react(
    data: Any, table: Any, start: Any, count: Any, rules: Any, out: Any, lengths: Any, queue: Any, counters: Any,
    now: Any,
) -> Any:  # fmt: skip
    """Answer packets start .. count - 1 of a block's `table` (`net.ring.packets`) while there is room in `out`
    (u8, rows of ROW_BYTES one behind the other). Returns (the packet to go on with, rows filled); `lengths` (i64) has
    their bytes. `now` in
    nanoseconds, for what waits; `counters` i64, as COUNTERS.
    """
    rows = 0
    room = lengths.size - MAX_ANSWERS
    i = start
    while i < count and rows <= room:
        ip, finished = table[i, ring.IP], table[i, ring.FINISHED]
        layer4, end, here = ipv4(data, ip, table[i, ring.END])
        i += 1
        counters[_SEEN] += 1
        if layer4 < 0 or not here or layer4 + _UDP_BYTES > end or end - layer4 > ROW_BYTES - _L4:
            counters[_INVALID] += 1
            continue
        protocol = data[ip + 9]
        target, port, flags = load32(data, ip + 16), load16(data, layer4 + 2), np.int64(0)
        source_port = load16(data, layer4)
        pseudo = sum_bytes(data, ip + 12, ip + 20) + np.uint64(protocol) + np.uint64(end - layer4)
        if protocol == _P_TCP and layer4 + _TCP_BYTES <= end:
            transport = _T_TCP
            flags = np.int64(data[layer4 + 13])
        elif protocol == _P_UDP:
            transport = _T_UDP
            if load16(data, layer4 + 6) == _ZERO:
                finished = 0  # no checksum (RFC 768)
        elif protocol == _P_ICMP and data[layer4] == _ECHO_REQUEST:
            transport, port, pseudo = _T_ECHO, _ZERO, _ZERO
            source_port = load16(data, layer4 + 4)
        elif protocol == _P_ICMP and data[layer4] == _UNREACHABLE:
            counters[_REFUSALS] += 1
            continue
        else:
            counters[_INVALID] += 1
            continue
        if finished and finish(pseudo + sum_bytes(data, layer4, end)):
            counters[_INVALID] += 1
            continue
        if transport == _T_TCP:
            if flags & _F_RST:
                counters[_RST] += 1
                continue
            if flags & (_F_SYN | _F_ACK) != _F_SYN:
                options = layer4 + np.int64(data[layer4 + 12] >> 4) * 4
                counters[_DATA if end > options else _ACK] += 1
                size = continued(data, ip, layer4, end, rules, out, rows * ROW_BYTES)
                if size > 0:
                    lengths[rows] = size
                    rows += 1
                    counters[_ANSWERS] += 1
                continue
            counters[_SYN] += 1
        else:
            counters[_UDP if transport == _T_UDP else _ECHO] += 1
        h = drawn(rules, transport, target, port)
        kind = np.int64(reaction_of(rules, h, target))
        if kind == _LOST_KIND or is_lost(rules, h, source_port):
            counters[_LOST] += 1
            continue
        if kind == _SILENCE:
            continue
        detail = details(h)
        copies = 1
        if kind == _DUPLICATE:
            copies = copies_of(detail)
        elif kind in (_CONFUSED, _FORGED_FIRST):
            copies = 2
        for copy in range(copies):
            o = rows * ROW_BYTES
            source, sport, dport = target, port, source_port
            refused = kind in (_RST_KIND, _RST_SEQ) or (kind == _CONFUSED and copy == 1)
            wrong = kind in (_WRONG_ACK, _STALE) or (kind == _FORGED_FIRST and copy == 0)
            if kind in (_WRONG_PORT, _STALE) or (wrong and transport == _T_UDP):
                dport ^= _OTHER_PORT
            if kind == _OTHER_PORT_KIND:
                sport = (sport + _ONE) & _LOW16
            if kind == _OTHER_ADDRESS:
                source ^= _ONE
            elsewhere = transport != _T_TCP and (refused or kind == _BLIND_RST)
            check = o + _L4 + 16
            if elsewhere or kind in (_ICMP_8, _ICMP_28, _FORGED_ICMP, _SHORT_ICMP):
                quote = 28
                if kind in (_ICMP_8, _RST_SEQ, _BLIND_RST):
                    quote = 8
                elif kind == _SHORT_ICMP:
                    quote = 4
                icmp_type = np.uint8(_UNREACHABLE)
                icmp_code = np.uint8(_PORT if transport == _T_UDP else _HOST)
                if not elsewhere:
                    icmp_type, icmp_code = TYPES[error_of(detail)], CODES[error_of(detail)]
                if not elsewhere or transport == _T_ECHO:
                    source = router_of(detail)
                last = _error(
                    out,
                    o,
                    data,
                    ip,
                    layer4,
                    end,
                    icmp_type,
                    icmp_code,
                    quote,
                    kind in (_FORGED_ICMP, _BLIND_RST),
                    kind,
                )
                _network(out, o, data, ip, source, _P_ICMP, last, detail)
                check = o + _L4 + 2
                _put16(out, check, finish(sum_bytes(out, o + _L4, last)))
            elif transport == _T_TCP:
                number = load32(data, layer4 + 4)
                ack = number if kind == _RST_SEQ else (number + _ONE) & _LOW32
                code = _F_RST | _F_ACK if refused else _F_SYN | _F_ACK
                if kind == _BLIND_RST:
                    ack, code = _ZERO, _F_RST
                if wrong:
                    ack = (ack + _OTHER_NUMBER) & _LOW32
                last = _segment(out, o, data, layer4, end, sport, dport, ack, code, detail, kind)
                _network(out, o, data, ip, source, _P_TCP, last, detail)
                _seal(out, o, _P_TCP, last, check)
            elif transport == _T_UDP:
                last = _datagram(out, o, data, layer4, end, sport, dport, kind)
                _network(out, o, data, ip, source, _P_UDP, last, detail)
                check = o + _L4 + 6
                _seal(out, o, _P_UDP, last, check)
            else:
                sequence = load16(data, layer4 + 6)
                if kind == _WRONG_PORT:
                    sequence ^= _OTHER_PORT
                ident = source_port ^ _OTHER_PORT if wrong else source_port
                last = _reply(out, o, data, layer4, end, ident, sequence)
                _network(out, o, data, ip, source, _P_ICMP, last, detail)
                check = o + _L4 + 2
                _put16(out, check, finish(sum_bytes(out, o + _L4, last)))
            if kind == _BAD_CHECKSUM:
                out[check] ^= np.uint8(0x55)
                if not out[check] and not out[check + 1]:
                    out[check + 1] = 1  # UDP: zero would say that there is none
            elif kind == _BAD_IP:
                out[o + 24] ^= np.uint8(0x55)
            if kind == _DELAYED_KIND:
                _postpone(queue, delay_of(rules, detail), rules, out, o, last - o, counters, now)
                continue
            lengths[rows] = last - o
            rows += 1
            counters[_ANSWERS] += 1
    return i, rows


@kernel
def mature(queue: Any, out: Any, lengths: Any, counters: Any, now: Any) -> Any:
    """Move answers whose time has come into `out`, as far as there is room. Returns the rows filled."""
    rows = 0
    capacity = queue.due.shape[1]
    for which in range(queue.heads.size):
        while queue.heads[which] < queue.tails[which] and rows < lengths.size:
            at = queue.heads[which] % capacity
            if queue.due[which, at] > now:
                break
            size = queue.lengths[which, at]
            for i in range(size):
                out[rows * ROW_BYTES + i] = queue.rows[which, at, i]
            lengths[rows] = size
            queue.heads[which] += 1
            rows += 1
            counters[_ANSWERS] += 1
    return rows


def waiting(queue: Queue) -> int:
    """Answers that wait."""
    return int((queue.tails - queue.heads).sum())
