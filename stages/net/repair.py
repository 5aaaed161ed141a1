"""Adoption: a kernel socket, ESTABLISHED, out of the SYN-ACK that answered a SYN of ours (TCP_REPAIR, tcp(7), criu).

What the handshake agreed on is told to the socket instead of being found out by it: both sequence numbers, the peer's
MSS, window and scale, SACK, timestamps. connect(2) in repair mode then sends nothing. The last segment of the handshake
(RFC 9293 3.5) has yet to be sent, and the kernel has no call for that: leaving repair sends a window probe, whose old
sequence number a peer in SYN-RECEIVED does not take for it (3.10.7.4: it answers with an ACK). So one byte is put into
the receive queue with the SYN-ACK's own sequence number, and our window is told to be zero; reading that byte opens
the window, and what announces this is a bare ACK with the numbers that the peer waits for. Was it lost, the peer
repeats its SYN-ACK, and a socket in ESTABLISHED answers that with an ACK (RFC 5961 4.2), if it gets to see it: the
packet filter spares what belongs to a socket (`net.firewall_rules`).

What the kernel cannot be told: the timestamp to echo. The first segments carry TSecr 0, until the peer has sent one.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Address
from typing import Any, Final, NamedTuple, Protocol

from stages.net import confine

# linux/tcp.h; the socket module has names for none of them.
_TCP_REPAIR: Final = 19
_TCP_REPAIR_QUEUE: Final = 20
_TCP_QUEUE_SEQ: Final = 21
_TCP_REPAIR_OPTIONS: Final = 22
_TCP_TIMESTAMP: Final = 24
_TCP_REPAIR_WINDOW: Final = 29
_REPAIR_ON: Final = 1
_REPAIR_OFF_NO_PROBE: Final = -1  # since Linux 4.19
_RECV_QUEUE: Final = 1
_SEND_QUEUE: Final = 2
# Options are told by their TCP kind (struct tcp_repair_opt: kind, value).
_MSS: Final = 2
_WSCALE: Final = 3
_SACK: Final = 4
_TIMESTAMPS: Final = 8
_OPTION: Final = struct.Struct("=II")
_WINDOW: Final = struct.Struct("=IIIII")  # struct tcp_repair_window: snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup
_U32: Final = struct.Struct("=I")

_TYPE: Final = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
_NO_MSS: Final = 536  # RFC 9293 3.7.1: what is to be believed of a peer that names none
#: The least that TCP_MAXSEG takes. It is set before connect, for what is told later does not shorten segments.
MIN_MSS: Final = 88
#: Our window until the socket announces its own, where no bare ACK does: what fits its first buffer; our SYN said more.
_FIRST_WINDOW: Final = 29_200
_MASK: Final = 0xFFFF_FFFF
_MAX_WSCALE: Final = 14  # RFC 7323 2.3


class Row(Protocol):
    """A half-open connection as `net.halfopen` has it: fields by name."""

    def __getitem__(self, name: Any, /) -> Any: ...


class Half(NamedTuple):
    """The fields of a half-open connection that adoption needs, as plain numbers."""

    peer: int
    ours: int
    peer_port: int
    own_port: int
    seq: int
    ack: int
    window: int
    mss: int
    wscale: int
    sack: int
    has_ts: int
    ts_ecr: int

    @classmethod
    def of(cls, row: Row) -> Half:
        """Raises ValueError naming the field whose value no segment can have."""
        half = cls(*(int(row[name]) for name in cls._fields))
        for name, value, least, most in zip(cls._fields, half, _LEAST, _MOST, strict=True):
            if not least <= value <= most:
                raise ValueError(f"{name} {value} is not between {least} and {most}")
        return half


_LEAST: Final = Half(0, 0, 1, 1, 0, 0, 0, 0, -1, 0, 0, 0)
_MOST: Final = Half(_MASK, _MASK, 65535, 65535, _MASK, _MASK, 65535, 65535, 255, 1, 1, _MASK)


class Unable(OSError):
    """This process or this kernel cannot adopt; the text says why."""


def probe() -> str | None:
    """Why nothing can be adopted here, None if it can. Tried on a socket of the loopback that sends no packet."""
    if not hasattr(os, "pidfd_open"):  # as good a sign of Linux as any; the constants are Linux's
        return "adoption needs Linux"
    loopback = int(IPv4Address("127.0.0.1"))
    nobody = Half(loopback, loopback, 9, 9, 1, 1, 1024, 1460, 7, 1, 1, 1)
    sock = socket.socket(socket.AF_INET, _TYPE)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_ON)
        sock.bind(("127.0.0.1", 0))
        _establish(sock, nobody._replace(own_port=sock.getsockname()[1]), 7, acknowledge=True, bind=False)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_OFF_NO_PROBE)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_ON)  # closed in repair, it goes without a FIN
    except OSError as error:
        if error.errno == errno.EPERM:
            return "adoption (TCP_REPAIR) needs CAP_NET_ADMIN"
        if error.errno == errno.ENOPROTOOPT:
            return "this kernel has no TCP_REPAIR"
        return f"this kernel does not adopt connections: {error.strerror or error}"
    finally:
        sock.close()
    return None


def adopt(row: Row, *, own_wscale: int, acknowledge: bool = True) -> socket.socket:
    """The connection as a non-blocking ESTABLISHED socket.

    `own_wscale`: the window scale that our SYN offered, -1 if none. `acknowledge`: end the handshake with a bare ACK;
    False where data is sent at once, which does it too. Raises ValueError; OSError: EPERM without CAP_NET_ADMIN,
    EADDRNOTAVAIL when the address is not ours or the connection is there already, EMSGSIZE when the peer's segments
    are too small for the kernel (less than MIN_MSS), ConfinedError.
    """
    half = Half.of(row)
    confine.check_address(str(IPv4Address(half.peer)))
    if half.mss and half.mss < MIN_MSS:
        raise OSError(errno.EMSGSIZE, f"the peer takes {half.mss} bytes in a segment, the kernel sends {MIN_MSS}")
    sock = socket.socket(socket.AF_INET, _TYPE)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_ON)
        _establish(sock, half, own_wscale, acknowledge=acknowledge, bind=True)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_OFF_NO_PROBE)
        if acknowledge:
            sock.recv(1)
    except OSError:
        sock.close()
        raise
    return sock


def _establish(sock: socket.socket, half: Half, own_wscale: int, *, acknowledge: bool, bind: bool) -> None:
    """From repair mode to ESTABLISHED in repair mode."""
    tcp, tell = socket.IPPROTO_TCP, sock.setsockopt
    mss = half.mss or _NO_MSS
    told = 0 if acknowledge else 1  # how much of the SYN-ACK's one sequence number is behind us before the byte
    tell(tcp, socket.TCP_MAXSEG, mss)
    tell(tcp, _TCP_REPAIR_QUEUE, _SEND_QUEUE)
    tell(tcp, _TCP_QUEUE_SEQ, _U32.pack(half.ack))
    tell(tcp, _TCP_REPAIR_QUEUE, _RECV_QUEUE)
    tell(tcp, _TCP_QUEUE_SEQ, _U32.pack(half.seq + told & _MASK))
    if bind:
        sock.bind((str(IPv4Address(half.ours)), half.own_port))
    sock.connect((str(IPv4Address(half.peer)), half.peer_port))
    scales = 0  # is told too: connect(2) has chosen one for us
    if half.wscale >= 0 and own_wscale >= 0:  # RFC 7323 2.2: both or none
        scales = min(half.wscale, _MAX_WSCALE) | min(own_wscale, _MAX_WSCALE) << 16
    options = _OPTION.pack(_MSS, mss) + _OPTION.pack(_WSCALE, scales)
    if half.sack:
        options += _OPTION.pack(_SACK, 0)
    if half.has_ts:
        options += _OPTION.pack(_TIMESTAMPS, 0)
    tell(tcp, _TCP_REPAIR_OPTIONS, options)
    if half.has_ts:  # beyond what our SYN said; even, for bit 0 means microseconds to newer kernels
        tell(tcp, _TCP_TIMESTAMP, half.ts_ecr + 2 & _MASK & ~1)
    if acknowledge:
        sock.send(b"\0")
    own_window = 0 if acknowledge else _FIRST_WINDOW
    after = half.seq + 1 & _MASK
    tell(tcp, _TCP_REPAIR_WINDOW, _WINDOW.pack(half.seq, half.window, half.window, own_window, after))
