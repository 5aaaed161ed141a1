"""UDP probes: the kernels that fill frames.

    fill_constant    one payload for all: it stands in the row already, only the headers are written
    fill_plans       a template for each port and attempt, part by part; frames may differ in length

The IP identification is the low 16 bits of the tag: an ICMP error quotes it beside the ports. The random stream of a
payload begins with the tag, so all attempts at a target carry the same: a repeated probe is a retransmission.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from stages.net import headers
from stages.net.checksum import finish
from stages.net.jit import kernel, piece
from stages.net.wide import load_bytes, store_bytes, swap_bytes
from stages.proto.template import NTP_EPOCH
from stages.scanner.probes import randoms
from stages.scanner.probes.randoms import characters, random_word
from stages.scanner.validation import port_offset, source_port, tag

Word: TypeAlias = Any  # a u64 inside a kernel

_PAYLOAD_AT = headers.ETHERNET_BYTES + headers.IPV4_BYTES + headers.UDP_BYTES
_UDP_AT = headers.ETHERNET_BYTES + headers.IPV4_BYTES
_ETHERNET = headers.ETHERNET_BYTES
_LITERAL, _SADDR, _SADDR_N, _DADDR, _DADDR_N = (
    randoms.LITERAL, randoms.SADDR, randoms.SADDR_N, randoms.DADDR, randoms.DADDR_N
)  # fmt: skip
_SPORT, _SPORT_N, _DPORT, _DPORT_N = randoms.SPORT, randoms.SPORT_N, randoms.DPORT, randoms.DPORT_N
_SECONDS, _MICROSECONDS, _ALPHANUM = randoms.SECONDS, randoms.MICROSECONDS, randoms.ALPHANUM

_ZERO, _ONE, _TEN = np.uint64(0), np.uint64(1), np.uint64(10)
_LOW8, _LOW16, _LOW32 = np.uint64(0xFF), np.uint64(0xFFFF), np.uint64(0xFFFFFFFF)
_S8, _S16, _S24, _S32, _S48 = (np.uint64(n) for n in (8, 16, 24, 32, 48))
_ALL = np.uint64((1 << 64) - 1)
_E2, _E3, _E4 = (np.uint64(n) for n in (100, 1_000, 10_000))
_ZEROS = np.uint64(0x3030303030)  # "00000"
#: Each octet in decimal with a dot behind it, and, in the fifth byte, its digits.
_OCTETS = np.array([int.from_bytes(f"{n}.".encode(), "little") | len(str(n)) << 32 for n in range(256)], np.uint64)
_THOUSAND, _MILLION = np.uint64(1000), np.uint64(1_000_000)
_EPOCH = np.uint64(NTP_EPOCH)


@piece
def _checked(total: Word) -> Word:
    """The UDP checksum of a sum: zero is written as its other form (RFC 768)."""
    check = finish(total)
    return check if check else _LOW16


@piece
def _put(words: Any, row: Any, at: Any, value: Word, length: Any, room: Any) -> Any:
    """Write the low `length` (at most 8) bytes of `value`, the lowest first; what follows up to `room` may be
    overwritten, too. at < room. Returns where the next byte goes."""
    if at + 8 <= room:
        store_bytes(words, row, at, value)
    else:  # at the very end: together with what stands before it
        shift = np.uint64(8 * (at - (room - 8)))
        kept = load_bytes(words, row, room - 8) & ~(_ALL << shift)
        store_bytes(words, row, room - 8, kept | (value << shift))
    return at + length


@piece
def _put_port(words: Any, row: Any, at: Any, port: Word, room: Any) -> Any:
    """Write a port in decimal: all five digits, less the zeros in front."""
    length = 1 + np.int64(port >= _TEN) + np.int64(port >= _E2) + np.int64(port >= _E3) + np.int64(port >= _E4)
    text = (
        (port // _E4)
        | ((port // _E3) % _TEN) << _S8
        | ((port // _E2) % _TEN) << _S16
        | ((port // _TEN) % _TEN) << _S24
        | (port % _TEN) << _S32
    ) | _ZEROS
    return _put(words, row, at, text >> np.uint64(8 * (5 - length)), length, room)


@piece
def _put_address(words: Any, row: Any, at: Any, address: Word, room: Any) -> Any:
    """Write a dotted quad: each octet with the dot behind it, which the next one or what follows overwrites."""
    for shift in (_S24, _S16, _S8, _ZERO):
        text = np.uint64(_OCTETS[np.int64((address >> shift) & _LOW8)])
        at = _put(words, row, at, text, np.int64(text >> _S32) + 1, room)
    return at - 1


@piece
def _put_random(words: Any, row: Any, at: Any, kind: Any, seed: Word, word: Any, length: Any, room: Any) -> Any:
    left = length
    number = np.uint64(word)
    while left > 0:
        part = min(left, 8)
        at = _put(words, row, at, characters(random_word(seed, number), kind), part, room)
        number += _ONE
        left -= part
    return at


@piece
def _put_literal(words: Any, row: Any, at: Any, literals: Any, start: Any, length: Any, room: Any) -> Any:
    """Copy bytes of `literals` (u64, one row, at least 8 bytes more behind them)."""
    done = 0
    while done < length:
        part = min(length - done, 8)
        at = _put(words, row, at, load_bytes(literals, 0, start + done), part, room)
        done += part
    return at


@piece
def _put_time(words: Any, row: Any, at: Any, kind: Any, milliseconds: Word, room: Any) -> Any:
    seconds, rest = milliseconds // _THOUSAND, (milliseconds % _THOUSAND) * _THOUSAND
    if kind == _SECONDS:
        return _put(words, row, at, swap_bytes((seconds & _LOW32) << _S32), 4, room)
    if kind == _MICROSECONDS:
        return _put(words, row, at, swap_bytes(rest << _S32), 4, room)
    stamp = (((seconds + _EPOCH) & _LOW32) << _S32) | ((rest << _S32) // _MILLION)
    return _put(words, row, at, swap_bytes(stamp), 8, room)


@piece
def _sum_row(words: Any, row: Any, end: Any) -> Word:
    """Sum of the payload's 16-bit words, big-endian: of bytes 42 to `end` of a row."""
    whole = end & ~7
    last = load_bytes(words, row, whole) & ~(_ALL << np.uint64(8 * (end & 7))) if end & 7 else _ZERO
    total = _ZERO
    if whole > 40:
        first = load_bytes(words, row, 40) >> _S16  # without the checksum, which is bytes 40 and 41
        total = (first & _LOW32) + (first >> _S32)
        for at in range(48, whole, 8):
            value = load_bytes(words, row, at)
            total += (value & _LOW32) + (value >> _S32)
    else:
        last >>= _S16
    total += (last & _LOW32) + (last >> _S32)
    # Native sums of little-endian words, folded, are the big-endian sum with its bytes swapped (RFC 1071 section 2B).
    total = (total & _LOW32) + (total >> _S32)
    total = (total & _LOW16) + (total >> _S16)
    total = (total & _LOW16) + (total >> _S16)
    total = (total & _LOW16) + (total >> _S16)
    return ((total & _LOW8) << _S8) | (total >> _S8)


@kernel
def fill_constant(words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any) -> None:
    """See `stages.scanner.probes.base`: frames whose payload is in the template."""
    k0, k1, sources = constants.k0, constants.k1, constants.sources
    first_port, port_count = constants.first_port, constants.port_count
    probes, several = np.int64(constants.probes), np.uint64(sources.size)
    t2, t4, t5 = constants.words[0], constants.words[2], constants.words[3]
    ip_sum, l4_sum = constants.ip_sum, constants.l4_sum
    count = address.size
    for j in range(probes):
        attempt = constants.first_attempt + np.uint64(j)
        for i in range(count):
            row = i * probes + j
            source[row] = sources[np.int64((address[i] + attempt) % several)] if several > _ONE else sources[0]
        for i in range(count):
            row = i * probes + j
            tags[row] = tag(k0, k1, source[row], address[i], port[i])
        for i in range(count):
            row = i * probes + j
            value, target, ours, dport = tags[row], address[i], source[row], port[i]
            sport = source_port(port_offset(value, port_count), attempt, first_port, port_count)
            ident = value & _LOW16
            addresses = (target >> _S16) + (target & _LOW16) + (ours >> _S16) + (ours & _LOW16)
            ip_check = finish(ip_sum + addresses + ident)
            check = _checked(l4_sum + addresses + sport + dport)
            words[row, 2] = swap_bytes(t2 | (ident << _S32))
            words[row, 3] = swap_bytes((ip_check << _S48) | (ours << _S16) | (target >> _S16))
            words[row, 4] = swap_bytes(((target & _LOW16) << _S48) | (sport << _S32) | (dport << _S16) | t4)
            words[row, 5] = swap_bytes(t5 | (check << _S48))


@kernel
def fill_plans(
    words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any, lengths: Any, plans: Any
) -> None:
    """See `stages.scanner.probes.base`: the template has neither lengths nor payload; `plans` are
    `datagram_plan.Plans`."""
    k0, k1, sources = constants.k0, constants.k1, constants.sources
    first_port, port_count = constants.first_port, constants.port_count
    probes, several = np.int64(constants.probes), np.uint64(sources.size)
    t2, milliseconds = constants.words[0], constants.milliseconds
    ip_sum, l4_sum = constants.ip_sum, constants.l4_sum
    literals, parts, spans, of_port, steps = plans.words, plans.parts, plans.spans, plans.of_port, plans.steps
    count, room = address.size, plans.room
    for j in range(probes):
        attempt = constants.first_attempt + np.uint64(j)
        step = np.int64(attempt) % steps
        for i in range(count):
            row = i * probes + j
            source[row] = sources[np.int64((address[i] + attempt) % several)] if several > _ONE else sources[0]
        for i in range(count):
            row = i * probes + j
            tags[row] = tag(k0, k1, source[row], address[i], port[i])
        for i in range(count):
            row = i * probes + j
            value, target, ours, dport = tags[row], address[i], source[row], port[i]
            sport = source_port(port_offset(value, port_count), attempt, first_port, port_count)
            plan = np.int64(of_port[np.int64(dport)]) + step
            at = _PAYLOAD_AT
            for p in range(spans[plan, 0], spans[plan, 1]):
                kind, start, length = parts[p, 0], parts[p, 1], parts[p, 2]
                if kind == _LITERAL:
                    at = _put_literal(words, row, at, literals, start, length, room)
                elif kind <= _ALPHANUM:
                    at = _put_random(words, row, at, kind, value, start, length, room)
                elif kind == _SADDR:
                    at = _put_address(words, row, at, ours, room)
                elif kind == _DADDR:
                    at = _put_address(words, row, at, target, room)
                elif kind == _SADDR_N:
                    at = _put(words, row, at, swap_bytes(ours << _S32), 4, room)
                elif kind == _DADDR_N:
                    at = _put(words, row, at, swap_bytes(target << _S32), 4, room)
                elif kind == _SPORT:
                    at = _put_port(words, row, at, sport, room)
                elif kind == _DPORT:
                    at = _put_port(words, row, at, dport, room)
                elif kind == _SPORT_N:
                    at = _put(words, row, at, swap_bytes(sport << _S48), 2, room)
                elif kind == _DPORT_N:
                    at = _put(words, row, at, swap_bytes(dport << _S48), 2, room)
                else:
                    at = _put_time(words, row, at, kind, milliseconds, room)
            lengths[row] = at
        for i in range(count):  # apart, for what was just written in pieces is slow to load as a whole
            row = i * probes + j
            value, target, ours, dport, at = tags[row], address[i], source[row], port[i], lengths[row]
            sport = source_port(port_offset(value, port_count), attempt, first_port, port_count)
            size, total, ident = np.uint64(at - _UDP_AT), np.uint64(at - _ETHERNET), value & _LOW16
            addresses = (target >> _S16) + (target & _LOW16) + (ours >> _S16) + (ours & _LOW16)
            ip_check = finish(ip_sum + addresses + ident + total)
            check = _checked(l4_sum + addresses + sport + dport + size + size + _sum_row(words, row, at))
            words[row, 2] = swap_bytes(t2 | (total << _S48) | (ident << _S32))
            words[row, 3] = swap_bytes((ip_check << _S48) | (ours << _S16) | (target >> _S16))
            words[row, 4] = swap_bytes(((target & _LOW16) << _S48) | (sport << _S32) | (dport << _S16) | size)
            words[row, 5] = (words[row, 5] & ~_LOW16) | (check >> _S8) | ((check & _LOW8) << _S8)
