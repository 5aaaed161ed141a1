"""UDP probes: the kernel that reads answers.

A datagram answers a probe if it comes to the source port that the probe had, and, where the payload had a cookie, if it
carries the cookie. An answer from another port of the host (TFTP, NAT, some servers with several addresses) is tried
against the ports of the scan. An ICMP error quotes the ports, and must quote the IP identification as well: some stacks
return it with its bytes swapped.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from stages.net import headers, ring
from stages.net.checksum import finish, sum_bytes
from stages.net.headers import load16, load32
from stages.net.jit import kernel, piece
from stages.scanner import answers
from stages.scanner.probes.base import MAX_OTHER_PORTS
from stages.scanner.probes.icmp_quote import quoted
from stages.scanner.probes.randoms import characters, random_word
from stages.scanner.validation import attempt_of, port_offset, tag, whole_bits

Word: TypeAlias = Any  # a u64 inside a kernel

_UDP, _ICMP = headers.PROTOCOL_UDP, headers.PROTOCOL_ICMP
_UDP_BYTES = headers.UDP_BYTES
_KIND_UDP, _KIND_OTHER, _KIND_ICMP = answers.UDP, answers.UDP_OTHER, answers.ICMP
_BY_PORT, _BY_COOKIE = answers.BY_PORT, answers.BY_PORT | answers.BY_COOKIE
_BY_QUOTE = answers.BY_PORT | answers.BY_IP_ID
#: One less than the identification has, for it may come back with its bytes swapped.
_ID_BITS = np.uint64(15)

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_LOW8, _LOW16 = np.uint64(0xFF), np.uint64(0xFFFF)
_S8 = np.uint64(8)
_LARGEST = 0xFFFF


@piece
def _udp_checksum(data: Any, ip: Any, udp: Any, end: Any) -> Any:
    """0 if the datagram's checksum is right, or there is none (RFC 768)."""
    if not data[udp + 6] and not data[udp + 7]:
        return _ZERO
    return finish(sum_bytes(data, ip + 12, ip + 20) + np.uint64(_UDP + end - udp) + sum_bytes(data, udp, end))


@piece
def _same(data: Any, at: Any, seed: Word, kind: Any, word: Any, length: Any) -> Any:
    """Whether data[at : at + length] is the random field (kind, first word, length) of the stream of `seed`."""
    drawn, number = _ZERO, np.uint64(word)
    for i in range(length):
        if i & 7 == 0:
            drawn = characters(random_word(seed, number), kind)
            number += _ONE
        if np.uint64(data[at + i]) != drawn & _LOW8:
            return False
        drawn >>= _S8
    return True


@piece
def _carries(data: Any, start: Any, end: Any, seed: Word, cookies: Any, plan: Any) -> Any:
    """Whether data[start:end] carries the cookie of a plan. Only for a plan that has one."""
    kind, word, length, place = cookies[plan, 0], cookies[plan, 1], cookies[plan, 2], cookies[plan, 3]
    if place >= 0:
        return start + place + length <= end and _same(data, start + place, seed, kind, word, length)
    first = np.uint8(characters(random_word(seed, np.uint64(word)), kind) & _LOW8)
    for at in range(start, end - length + 1):  # noqa: SIM110  # numba has no generators here
        if data[at] == first and _same(data, at, seed, kind, word, length):
            return True
    return False


@piece
def _fits(
    data: Any, start: Any, end: Any, saddr: Word, daddr: Word, dport: Word, port: Word, constants: Any, plans: Any
) -> Any:
    """(attempt, plan) of the probe to `port` that a datagram to `dport` answers; (0, -1) if it answers none."""
    value = tag(constants.k0, constants.k1, daddr, saddr, port)
    port_count = constants.port_count
    attempt = attempt_of(port_offset(value, port_count), dport, constants.first_port, port_count)
    if attempt >= constants.attempts:
        return _ZERO, -1
    plan = np.int64(plans.of_port[np.int64(port)]) + np.int64(attempt) % plans.steps
    if plans.cookies[plan, 0] >= 0 and not _carries(data, start, end, value, plans.cookies, plan):
        return _ZERO, -1
    return attempt, plan


@piece
def _asked(port: Word, ports: Any) -> Any:
    """Whether the scan may have asked `port`: an answer from another one must not pass, by luck, for that of a probe
    which there was not. Unknown, and so possible, where there are more ports than the constants have room for."""
    if ports.size == 0 or ports.size >= MAX_OTHER_PORTS:
        return True
    for k in range(ports.size):  # noqa: SIM110
        if ports[k] == port:
            return True
    return False


@piece
def _expected(data: Any, start: Any, end: Any, plans: Any, plan: Any) -> Any:
    """Whether there stands in data[start:end] what the plan expects."""
    first, length = plans.expects[plan, 0], plans.expects[plan, 1]
    start += plans.expects[plan, 2]
    if start + length > end:
        return False
    for i in range(length):  # noqa: SIM110
        if data[start + i] != plans.literals[first + i]:
            return False
    return True


@kernel
def read_datagrams(data: Any, table: Any, count: Any, constants: Any, out: Any, plans: Any) -> Any:
    """`classify` of `stages.scanner.probes.base` with `plans` (`datagram_plan.Plans`)."""
    k0, k1 = constants.k0, constants.k1
    first_port, port_count, attempts = constants.first_port, constants.port_count, constants.attempts
    port_bits = whole_bits(port_count)
    found = 0
    for i in range(count):
        ip, captured, finished = table[i, ring.IP], table[i, ring.END], table[i, ring.FINISHED]
        layer4, end, here = ring.ipv4(data, ip, captured)
        if layer4 < 0:
            continue
        protocol = data[ip + 9]
        saddr, daddr = load32(data, ip + 12), load32(data, ip + 16)
        row = out[found]
        if protocol == _UDP:
            if layer4 + _UDP_BYTES > end:
                continue
            sport, dport = load16(data, layer4), load16(data, layer4 + 2)
            if dport < first_port or dport - first_port >= port_count:
                continue
            # Some devices say length 0 and send data all the same: it is not taken for data.
            size = np.int64(load16(data, layer4 + 4)) - _UDP_BYTES
            size = size if size > 0 else np.int64(0)
            start = layer4 + _UDP_BYTES
            if here and start + size > end:
                continue
            last = min(start + size, end)
            target = saddr
            port = sport
            attempt, plan = _ZERO, -1
            if _asked(port, constants.ports):
                attempt, plan = _fits(data, start, last, saddr, daddr, dport, port, constants, plans)
            if plan < 0:
                for k in range(constants.ports.size):
                    port = constants.ports[k]
                    attempt, plan = _fits(data, start, last, saddr, daddr, dport, port, constants, plans)
                    if plan >= 0:
                        break
                else:
                    continue
            if here and finished and _udp_checksum(data, ip, layer4, last if size > 0 else end):
                continue
            row.kind = _KIND_UDP if _expected(data, start, last, plans, plan) else _KIND_OTHER
            row.bound, row.bits = _BY_PORT, port_bits
            if plans.cookies[plan, 0] >= 0:
                row.bound, row.bits = _BY_COOKIE, min(port_bits + np.uint64(plans.cookies[plan, 4]), _LOW8)
            row.sport = sport
            row.icmp_type = row.icmp_code = 0
            row.size, row.data_size, row.data_at = min(size, _LARGEST), last - start, start
        elif protocol == _ICMP:
            inner, quote = quoted(data, layer4, end, here, finished)
            if inner < 0 or data[inner + 9] != _UDP or load32(data, inner + 12) != daddr:
                continue
            target, port, dport = load32(data, inner + 16), load16(data, quote + 2), load16(data, quote)
            value = tag(k0, k1, daddr, target, port)
            attempt = attempt_of(port_offset(value, port_count), dport, first_port, port_count)
            if attempt >= attempts:
                continue
            ident, sent = load16(data, inner + 4), value & _LOW16
            if ident != sent and ident != ((sent >> _S8) | ((sent & _LOW8) << _S8)):
                continue
            row.kind = _KIND_ICMP
            row.bound, row.bits = _BY_QUOTE, port_bits + _ID_BITS
            row.sport = port
            row.icmp_type, row.icmp_code = data[layer4], data[layer4 + 1]
            row.size = row.data_size = row.data_at = 0
        else:
            continue
        row.address, row.port, row.dport = target, port, dport
        row.attempt = attempt
        row.seq = row.ack = row.window = 0
        row.mss = row.sack = row.has_ts = row.ts_val = row.ts_ecr = 0
        row.wscale = -1
        row.ts = table[i, ring.TIME]
        row.saddr, row.daddr, row.responder = saddr, daddr, saddr
        row.ttl, row.ipid = data[ip + 8], load16(data, ip + 4)
        found += 1
    return found
