"""Headers of the responder's answers, made from the packet that they answer: the kernels' pieces. Pure.

Ethernet and IPv4 are the probe's, turned around; the layer 4 checksum goes in last.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import headers
from stages.net.checksum import finish, sum_bytes
from stages.net.jit import piece
from stages.simnet.responder_truth import ttl_of

ETHERNET: Final = headers.ETHERNET_BYTES
L4: Final = headers.ETHERNET_BYTES + headers.IPV4_BYTES  #: where layer 4 begins in an answer
_UDP = 17
_NOP, _END = headers.OPTION_NOP, headers.OPTION_END
_WSCALE, _SACK, _STAMPS = headers.OPTION_WSCALE, headers.OPTION_SACK_PERMITTED, headers.OPTION_TIMESTAMPS
_ZERO, _ONE, _S8, _S16 = np.uint64(0), np.uint64(1), np.uint64(8), np.uint64(16)
_LOW8, _LOW16 = np.uint64(0xFF), np.uint64(0xFFFF)


@piece
def put16(out: Any, at: Any, value: Any) -> None:
    first = np.uint64(at)
    out[first] = value >> _S8 & _LOW8
    out[first + _ONE] = value & _LOW8


@piece
def put32(out: Any, at: Any, value: Any) -> None:
    put16(out, at, value >> _S16 & _LOW16)
    put16(out, at + 2, value & _LOW16)


@piece
def network(out: Any, o: Any, data: Any, ip: Any, source: Any, protocol: Any, end: Any, detail: Any) -> None:
    """Ethernet and IPv4 headers at `o` of an answer to the packet at `ip`; `end` is where the answer ends."""
    for i in range(6):
        out[o + i] = data[ip - 8 + i]
        out[o + 6 + i] = data[ip - 14 + i]
    out[o + 12], out[o + 13] = 8, 0
    out[o + 14], out[o + 15] = 0x45, 0
    put16(out, o + 16, np.uint64(end - o - ETHERNET))
    put16(out, o + 18, detail >> np.uint64(48))
    out[o + 20], out[o + 21] = 0x40, 0  # don't fragment
    out[o + 22], out[o + 23] = ttl_of(detail), protocol
    out[o + 24] = out[o + 25] = 0
    put32(out, o + 26, source)
    for i in range(4):
        out[o + 30 + i] = data[ip + 12 + i]
    put16(out, o + 24, finish(sum_bytes(out, o + ETHERNET, o + L4)))


@piece
def seal(out: Any, o: Any, protocol: Any, end: Any, at: Any) -> None:
    """The layer 4 checksum of TCP or UDP, at offset `at`, over the pseudo-header too (RFC 9293 3.1)."""
    start = o + L4
    total = sum_bytes(out, o + 26, start) + np.uint64(protocol) + np.uint64(end - start) + sum_bytes(out, start, end)
    value = finish(total)
    put16(out, at, value if value != _ZERO or protocol != _UDP else _LOW16)


@piece
def offered(data: Any, at: Any, end: Any) -> Any:
    """(whether there is SACK permitted, the window scale or -1, offset of the timestamps or 0) in TCP options."""
    sack = False
    stamps, scale = np.int64(0), np.int64(-1)
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
        elif data[at] == _WSCALE and size == 3:
            scale = np.int64(data[at + 2])
        elif data[at] == _STAMPS and size == 10:
            stamps = at
        at += size
    return sack, scale, stamps
