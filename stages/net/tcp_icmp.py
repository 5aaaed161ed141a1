"""ICMP errors about our segments (RFC 9293 3.9.2.2, RFC 5927). Pure.

An error counts only if it quotes a segment of an open connection whose sequence number is in flight. "Fragmentation
needed" lowers the segment size and has the lost segments sent again; any other one is a hint, for the record, and ends
nothing: forged errors are cheap. Source Quench and Redirect are ignored (RFC 6633, RFC 1122 3.2.2.2 is for routes).
"""

from __future__ import annotations

import errno
from typing import Any

import numpy as np

from stages.net import headers, tcp
from stages.net.checksum import finish, sum_bytes
from stages.net.headers import load16, load32
from stages.net.jit import part
from stages.net.sequence import gap
from stages.net.tcp_output import push
from stages.net.tcp_table import find

_ICMP_BYTES, _QUOTE_BYTES, _IPV4_BYTES = headers.ICMP_BYTES, headers.QUOTE_BYTES, headers.IPV4_BYTES
_PROTOCOL_TCP, _OFFSET = headers.PROTOCOL_TCP, np.uint64(headers.FRAGMENT_OFFSET)
_UNREACHABLE, _TIME_EXCEEDED = headers.ICMP_UNREACHABLE, headers.ICMP_TIME_EXCEEDED
_PARAMETER_PROBLEM = headers.ICMP_PARAMETER_PROBLEM
_FRAGMENTATION_NEEDED = 4
_NOWHERE, _OVER, _NEVER, _STAMPS, _MSS_LEAST = tcp.NOWHERE, tcp.OVER, tcp.NEVER, tcp.STAMPS, tcp.MSS_LEAST
_ZERO = np.uint64(0)
#: A router that does not say its MTU (RFC 1191 5): what every host takes (RFC 791 3.1).
_MTU_UNSAID = 576
_MTU_LEAST = 68

_ENETUNREACH, _EHOSTUNREACH, _EPROTO = errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPROTO
#: Code of Destination Unreachable -> errno, as Linux tells it (icmp_err_convert).
_ERRNOS = np.array(
    [
        errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOPROTOOPT, errno.ECONNREFUSED, errno.EMSGSIZE, errno.EOPNOTSUPP,
        errno.ENETUNREACH, errno.EHOSTDOWN, getattr(errno, "ENONET", errno.EHOSTUNREACH), errno.ENETUNREACH,
        errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTUNREACH, errno.EHOSTUNREACH,
        errno.EHOSTUNREACH,
    ],
    np.int64,
)  # fmt: skip


@part
def report(t: Any, data: Any, ip: Any, at: Any, end: Any, checked: Any, now: Any) -> None:
    """An ICMP message at byte `at` of a block."""
    inner = at + _ICMP_BYTES
    if inner + _IPV4_BYTES > end or data[inner] >> 4 != 4:
        return
    kind, code = np.int64(data[at]), np.int64(data[at + 1])
    if kind not in (_UNREACHABLE, _TIME_EXCEEDED, _PARAMETER_PROBLEM):
        return
    quote = inner + np.int64(data[inner] & 15) * 4
    if quote < inner + _IPV4_BYTES or quote + _QUOTE_BYTES > end or data[inner + 9] != _PROTOCOL_TCP:
        return
    if load16(data, inner + 6) & _OFFSET != _ZERO or load32(data, inner + 12) != load32(data, ip + 16):
        return
    if checked and finish(sum_bytes(data, at, end)):
        return
    slot = find(
        t, np.int64(load32(data, inner + 16)), np.int64(load16(data, quote + 2)),
        np.int64(load32(data, inner + 12)), np.int64(load16(data, quote)),
    )  # fmt: skip
    if slot == _NOWHERE:
        return
    c = t.connections[slot]
    place = gap(np.int64(load32(data, quote + 4)), c.una)
    flight = gap(c.top, c.una)
    if place < 0 or place > flight:
        return
    if kind == _UNREACHABLE and code == _FRAGMENTATION_NEEDED:
        mtu = np.int64(load16(data, at + 6))
        if mtu == 0:
            mtu = np.int64(_MTU_UNSAID)
        mss = max(mtu - 40 - (12 if c.flags & _STAMPS else 0), _MSS_LEAST)
        if place < flight and mtu >= _MTU_LEAST and mss < c.mss:
            t.now[tcp.PMTU_LOWERED] += 1
            c.mss = mss
            c.nxt = c.una
            c.timed_at = c.resend_at = _NEVER
            push(t, slot, now)
        return
    t.now[tcp.ICMP_HINTS] += 1
    if c.flags & _OVER:
        return
    if kind == _UNREACHABLE:
        c.errno = _ERRNOS[code] if code < _ERRNOS.size else _EHOSTUNREACH
    else:
        c.errno = _EHOSTUNREACH if kind == _TIME_EXCEEDED else _EPROTO
    c.icmp_type, c.icmp_code, c.icmp_sender = kind, code, load32(data, ip + 12)
