"""The responder behind the handshake: the answer to a segment of a connection, without a connection. Pure.

All that is known is the segment. The number that our side began with is a function of address and port, so what it
acknowledges says how much of our answer has arrived (`got`); a first request and a repeated one are told the same. The
window scale that was agreed stands in the upper bits of that number, as a SYN cookie has such things (RFC 4987 3.6).
What the other side began with is not known: its request must be one segment.

    got = 0, data (or for a GREETING anything)     the answer, all segments of it
    data                                           an acknowledgement
    FIN                                            FIN and acknowledgement (RFC 9293 3.10.7.4); if ours came: the latter
    an acknowledgement alone                       nothing

Loss is drawn from the order in which packets come, so a repeated one has another chance. What is lost on its way here
is as if it never came; where that was the end of a handshake, our SYN-ACK comes again after `again`. Of what is lost on
its way back, that which a server would repeat comes again after that time, once.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import headers
from stages.net.headers import load16, load32
from stages.net.jit import kernel, piece
from stages.simnet import responder_truth as truth
from stages.simnet.responder_draws import GOLDEN, below, mix
from stages.simnet.responder_layers import L4, network, offered, put16, put32, seal
from stages.simnet.responder_queue import ANSWERS, ASTRAY, CLOSED, LOST, LOST_BACK, SAID, SEEN, postpone
from stages.simnet.responder_spec import Says
from stages.simnet.responder_truth import details, drawn, reaction_of
from stages.simnet.responder_words import MAX_SEGMENTS, is_lost_back, says_of, text_of, voice_of, write_text

#: Answers to one segment: all of the text, and a RST behind it.
MAX_SAID: Final = MAX_SEGMENTS + 1
#: Between the headers and the payload there may be timestamps.
OPTION_BYTES: Final = 12

_TCP: Final = headers.PROTOCOL_TCP
_TCP_BYTES = headers.TCP_BYTES
_FIN, _SYN, _RST, _ACK, _PSH = headers.TCP_FIN, headers.TCP_SYN, headers.TCP_RST, headers.TCP_ACK, 0x08
_NOP, _STAMPS = headers.OPTION_NOP, headers.OPTION_TIMESTAMPS
_T_TCP = truth.TCP
_DEAF, _CLOSE, _RESET, _GREETING = int(Says.DEAF), int(Says.CLOSE), int(Says.RESET), int(Says.GREETING)
_LOW28, _LOW32, _S28 = np.uint64(0xFFFFFFF), np.uint64(0xFFFFFFFF), np.uint64(28)
_ONE = np.uint64(1)
#: A larger one is used as 14 (RFC 7323 2.3).
_MAX_SCALE = np.int64(14)
_WINDOW = np.uint64(truth.WINDOW)


@piece
def first_number(detail: Any, scale: Any) -> Any:
    """The number that a connection begins with, of 32 bits. `scale`: of the other side's window, -1: none."""
    shift = np.uint64(min(max(scale, np.int64(0)), _MAX_SCALE))
    return ((detail & _LOW28) + (shift << _S28)) & _LOW32


@piece
def _start(
    out: Any, o: Any, data: Any, layer4: Any, number: Any, ack: Any, flags: Any, stamps: Any, detail: Any
) -> Any:
    """The TCP header at `o` of an answer to the segment at `layer4`, with timestamps if `stamps`; where it ends."""
    at = o + L4
    put16(out, at, load16(data, layer4 + 2))
    put16(out, at + 2, load16(data, layer4))
    put32(out, at + 4, number & _LOW32)
    put32(out, at + 8, ack & _LOW32)
    last = at + _TCP_BYTES
    if stamps:  # RFC 7323 3.2: in every segment but a RST, once they are agreed
        out[last], out[last + 1], out[last + 2], out[last + 3] = _NOP, _NOP, _STAMPS, 10
        put32(out, last + 4, detail & _LOW32)
        for i in range(4):
            out[last + 8 + i] = data[stamps + 2 + i]
        last += OPTION_BYTES
    out[at + 12] = (last - at) // 4 << 4
    out[at + 13] = flags
    put16(out, at + 14, _WINDOW)
    put32(out, at + 16, np.uint64(0))
    return last


@kernel
def continued(
    data: Any, ip: Any, layer4: Any, end: Any, rules: Any, out: Any, lengths: Any, rows: Any, queue: Any,
    counters: Any, now: Any,
) -> Any:  # fmt: skip
    """Answer a segment behind the handshake (not a SYN, not a RST) in rows of `out` from `rows` on, of which MAX_SAID
    are free; returns the rows filled by now."""
    target, port = load32(data, ip + 16), load16(data, layer4 + 2)
    talk = rules.talk
    h = drawn(rules, _T_TCP, target, port)
    detail = details(h)
    voice = voice_of(detail)
    says = says_of(talk, np.int64(reaction_of(rules, h, target)), voice)
    payload = layer4 + np.int64(data[layer4 + 12] >> 4) * 4
    flags = np.int64(data[layer4 + 13])
    if says == _DEAF or payload > end or payload < layer4 + _TCP_BYTES or not flags & _ACK or flags & _SYN:
        return rows
    asked = end - payload
    closing = np.int64(flags & _FIN)
    number, window = load32(data, layer4 + 4), np.int64(load16(data, layer4 + 14))
    ack = number + np.uint64(asked) + np.uint64(closing)
    text, total = text_of(talk, says, voice)
    heard = load32(data, layer4 + 8)
    distance = (heard - (detail & _LOW28) - _ONE) & _LOW32
    got = np.int64(distance & _LOW28)
    window <<= np.int64(distance >> _S28)
    began = heard - np.uint64(got)
    if got > total + 1:
        counters[ASTRAY] += 1
        return rows
    stride = out.size // lengths.size
    _, _, stamps = offered(data, layer4 + _TCP_BYTES, payload)
    fate = mix(h ^ (np.uint64(counters[SEEN]) * GOLDEN))
    if below(fate, rules.lost):
        counters[LOST] += 1
        if not asked and not closing and got == 0:
            o = rows * stride
            last = _start(out, o, data, layer4, began - _ONE, number, _SYN | _ACK, stamps, detail)
            network(out, o, data, ip, target, _TCP, last, detail)
            seal(out, o, _TCP, last, o + L4 + 16)
            postpone(queue, rules.delays.size, now + talk.again, out, o, last - o, counters)
        return rows
    if closing:
        counters[CLOSED] += 1
    first = until = np.int64(0)  # of the text
    final = says == _CLOSE or closing != 0  # whether there is a FIN behind `until`
    broken = False  # whether there is a RST
    if got == 0 and total > 0 and (asked or says == _GREETING):
        until = min(total, window)
        final = final and until == total
        broken = says == _RESET and until == total
        if until > 0:
            counters[SAID] += 1
    elif says == _RESET and got > 0:
        if not asked and not closing:
            return rows
        first = until = got
        final, broken = False, True
    elif closing or asked:
        first = until = total if got > 0 or says == _GREETING else np.int64(0)
        if says == _CLOSE and got > 0:  # our FIN went with the last byte
            first = until = total + 1
            final = False
        elif not closing:
            final = False
    else:
        return rows
    at = first
    part = 0
    empty = until == first and not (broken and first > 0)
    while at < until or empty:
        size = min(np.int64(talk.segment), until - at)
        whole = at + size == until
        code = _ACK | (_PSH if size and whole else 0) | (_FIN if final and whole else 0)
        o = rows * stride
        last = _start(out, o, data, layer4, began + np.uint64(at), ack, code, stamps, detail)
        write_text(out, last, talk, text, voice, at, at + size)
        last += size
        network(out, o, data, ip, target, _TCP, last, detail)
        seal(out, o, _TCP, last, o + L4 + 16)
        at += size
        part += 1
        empty = False
        if is_lost_back(talk, mix(fate + np.uint64(part))):
            counters[LOST_BACK] += 1
            if size or final:
                postpone(queue, rules.delays.size, now + talk.again, out, o, last - o, counters)
            continue
        lengths[rows] = last - o
        rows += 1
        counters[ANSWERS] += 1
    if broken:
        o = rows * stride
        last = _start(out, o, data, layer4, began + np.uint64(until), ack, _RST | _ACK, np.int64(0), detail)
        network(out, o, data, ip, target, _TCP, last, detail)
        seal(out, o, _TCP, last, o + L4 + 16)
        lengths[rows] = last - o
        rows += 1
        counters[ANSWERS] += 1
    return rows
