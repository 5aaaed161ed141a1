"""From the probes in a block of the ring to the frames that answer them: the responder's kernel. Pure.

Nothing is remembered of a probe: every answer is made from the packet it answers, its reaction and the details. What
goes with delay waits as a finished frame (`responder_queue`); what a connection says behind the handshake is
`responder_talk`'s.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import headers, ring
from stages.net.checksum import finish, sum_bytes
from stages.net.headers import load16, load32
from stages.net.jit import kernel, piece
from stages.net.ring import ipv4
from stages.simnet import responder_truth as truth
from stages.simnet.responder_draws import GOLDEN, mix
from stages.simnet.responder_layers import L4, network, offered, put16, put32, seal
from stages.simnet.responder_queue import (
    ACK,
    ANSWERS,
    DATA,
    ECHO,
    INVALID,
    LOST,
    LOST_BACK,
    REFUSALS,
    RST,
    SEEN,
    SYN,
    UDP,
    postpone,
)
from stages.simnet.responder_spec import Reaction
from stages.simnet.responder_talk import MAX_SAID, continued, first_number
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
)  # fmt: skip
from stages.simnet.responder_words import is_lost_back

#: Answers to one probe at most.
MAX_ANSWERS: Final = max(4, MAX_SAID)

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


@piece
def _options(out: Any, at: Any, data: Any, layer4: Any, end: Any, detail: Any) -> Any:
    """The options of a SYN-ACK, at `at`, to what the SYN offered, laid out as Linux does; returns where they end,
    and the window scale that was agreed, -1 for none."""
    last = min(layer4 + np.int64(data[layer4 + 12] >> 4) * 4, end)
    sack, scale, stamps = offered(data, layer4 + _TCP_BYTES, last)
    out[at], out[at + 1] = _MSS, 4
    put16(out, at + 2, _OWN_MSS)
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
        put32(out, at + 2, detail & _LOW32)
        for i in range(4):
            out[at + 6 + i] = data[stamps + 2 + i]
        at += 10
    if scale >= 0:
        out[at], out[at + 1], out[at + 2], out[at + 3] = _NOP, _WSCALE, 3, _OWN_WSCALE
        at += 4
    return at, scale


@piece
def _segment(
    out: Any, o: Any, data: Any, layer4: Any, end: Any, sport: Any, dport: Any, ack: Any, flags: Any, detail: Any,
    kind: Any,
) -> Any:  # fmt: skip
    """A TCP segment of the answer at `o` without its checksum; returns where it ends."""
    at = o + L4
    put16(out, at, sport)
    put16(out, at + 2, dport)
    opening = flags & _F_SYN
    put32(out, at + 8, ack)
    last, scale = at + _TCP_BYTES, np.int64(-1)
    if opening and kind != _BARE:
        last, scale = _options(out, last, data, layer4, end, detail)
    put32(out, at + 4, first_number(detail, scale) if opening else _ZERO)
    out[at + 12] = (last - at) // 4 << 4
    out[at + 13] = flags
    put16(out, at + 14, _OWN_WINDOW if opening and kind != _TARPIT else _ZERO)
    put32(out, at + 16, _ZERO)
    return last


@piece
def _datagram(out: Any, o: Any, data: Any, layer4: Any, end: Any, sport: Any, dport: Any, kind: Any) -> Any:
    """What was sent, sent back, as an answer where the protocol has a bit for it; returns where it ends."""
    at = o + L4
    put16(out, at, sport)
    put16(out, at + 2, dport)
    size = end - layer4 if kind != _TARPIT else np.int64(_UDP_BYTES)
    if kind == _BARE and load16(data, layer4 + 2) == _DNS:
        size = min(size, np.int64(_UDP_BYTES + _DNS_BYTES))
    put16(out, at + 4, np.uint64(size))
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
    at = o + L4
    out[at] = out[at + 1] = out[at + 2] = out[at + 3] = 0
    put16(out, at + 4, ident)
    put16(out, at + 6, sequence)
    for i in range(_ICMP_BYTES, end - layer4):
        out[at + i] = data[layer4 + i]
    return at + end - layer4


@piece
def _error(
    out: Any, o: Any, data: Any, ip: Any, layer4: Any, end: Any, icmp_type: Any, icmp_code: Any, quote: Any,
    forged: Any, kind: Any,
) -> Any:  # fmt: skip
    """An ICMP error without its checksum that quotes `quote` bytes behind the IP header; returns where it ends."""
    out[o + L4], out[o + L4 + 1] = icmp_type, icmp_code
    for i in range(2, _ICMP_BYTES):
        out[o + L4 + i] = 0
    last = min(layer4 + quote, end)
    body = o + L4 + _ICMP_BYTES
    for i in range(last - ip):
        out[body + i] = data[ip + i]
    if forged:  # TCP: the sequence number; UDP: our port, or the IP identification; ICMP: the identifier
        at = body + layer4 - ip + (0 if data[ip + 9] == _P_UDP else 4)
        if data[ip + 9] == _P_UDP and kind == _BLIND_RST:
            at = body + 4
        out[at] ^= np.uint8(0x08)
    return body + last - ip


@kernel
def react(
    data: Any, table: Any, start: Any, count: Any, rules: Any, out: Any, lengths: Any, queue: Any, counters: Any,
    now: Any,
) -> Any:  # fmt: skip
    """Answer packets start .. count - 1 of a block's `table` (`net.ring.packets`) while there is room in `out`
    (u8, as many rows one behind the other as `lengths` has). Returns (the packet to go on with, rows filled);
    `lengths` (i64) has their bytes. `now` in nanoseconds, for what waits; `counters` i64, as COUNTERS. `queue` has a
    ring more than there are delays.
    """
    rows = 0
    room, stride = lengths.size - MAX_ANSWERS, out.size // lengths.size
    i = start
    while i < count and rows <= room:
        ip, finished = table[i, ring.IP], table[i, ring.FINISHED]
        layer4, end, here = ipv4(data, ip, table[i, ring.END])
        i += 1
        counters[SEEN] += 1
        if layer4 < 0 or not here or layer4 + _UDP_BYTES > end:
            counters[INVALID] += 1
            continue
        protocol = data[ip + 9]
        if protocol != _P_TCP and end - layer4 > stride - L4:  # it comes back whole
            counters[INVALID] += 1
            continue
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
            counters[REFUSALS] += 1
            continue
        else:
            counters[INVALID] += 1
            continue
        if finished and finish(pseudo + sum_bytes(data, layer4, end)):
            counters[INVALID] += 1
            continue
        if transport == _T_TCP:
            if flags & _F_RST:
                counters[RST] += 1
                continue
            if flags & (_F_SYN | _F_ACK) != _F_SYN:
                options = layer4 + np.int64(data[layer4 + 12] >> 4) * 4
                counters[DATA if end > options else ACK] += 1
                rows = continued(data, ip, layer4, end, rules, out, lengths, rows, queue, counters, now)
                continue
            counters[SYN] += 1
        else:
            counters[UDP if transport == _T_UDP else ECHO] += 1
        h = drawn(rules, transport, target, port)
        kind = np.int64(reaction_of(rules, h, target))
        if kind == _LOST_KIND or is_lost(rules, h, source_port):
            counters[LOST] += 1
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
            o = rows * stride
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
            check = o + L4 + 16
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
                network(out, o, data, ip, source, _P_ICMP, last, detail)
                check = o + L4 + 2
                put16(out, check, finish(sum_bytes(out, o + L4, last)))
            elif transport == _T_TCP:
                number = load32(data, layer4 + 4)
                ack = number if kind == _RST_SEQ else (number + _ONE) & _LOW32
                code = _F_RST | _F_ACK if refused else _F_SYN | _F_ACK
                if kind == _BLIND_RST:
                    ack, code = _ZERO, _F_RST
                if wrong:
                    ack = (ack + _OTHER_NUMBER) & _LOW32
                last = _segment(out, o, data, layer4, end, sport, dport, ack, code, detail, kind)
                network(out, o, data, ip, source, _P_TCP, last, detail)
                seal(out, o, _P_TCP, last, check)
            elif transport == _T_UDP:
                last = _datagram(out, o, data, layer4, end, sport, dport, kind)
                network(out, o, data, ip, source, _P_UDP, last, detail)
                check = o + L4 + 6
                seal(out, o, _P_UDP, last, check)
            else:
                sequence = load16(data, layer4 + 6)
                if kind == _WRONG_PORT:
                    sequence ^= _OTHER_PORT
                ident = source_port ^ _OTHER_PORT if wrong else source_port
                last = _reply(out, o, data, layer4, end, ident, sequence)
                network(out, o, data, ip, source, _P_ICMP, last, detail)
                check = o + L4 + 2
                put16(out, check, finish(sum_bytes(out, o + L4, last)))
            if kind == _BAD_CHECKSUM:
                out[check] ^= np.uint8(0x55)
                if not out[check] and not out[check + 1]:
                    out[check + 1] = 1  # UDP: zero would say that there is none
            elif kind == _BAD_IP:
                out[o + 24] ^= np.uint8(0x55)
            if kind == _DELAYED_KIND:
                which = delay_of(rules, detail)
                postpone(queue, which, now + rules.delays[which], out, o, last - o, counters)
                continue
            fate = h ^ (np.uint64(counters[SEEN] * MAX_ANSWERS + copy) * GOLDEN)
            if transport == _T_TCP and not refused and is_lost_back(rules.talk, mix(fate)):
                counters[LOST_BACK] += 1
                postpone(queue, rules.delays.size, now + rules.talk.again, out, o, last - o, counters)
                continue
            lengths[rows] = last - o
            rows += 1
            counters[ANSWERS] += 1
    return i, rows
