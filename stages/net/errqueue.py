"""The error queue of a socket: which ICMP message stands behind an errno, and who sent it.

errno merges what ICMP tells apart: ECONNREFUSED is a RST or a port-unreachable, EHOSTUNREACH is a dead host, an
administrator's filter or a missing neighbour. With IP_RECVERR (ip(7)) or IPV6_RECVERR (ipv6(7)) set before connect(2),
the kernel also queues each ICMP error as a `struct sock_extended_err` followed by the address of the sender. The queue
must be emptied: while it holds anything, the descriptor is reported with EPOLLERR.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from socket import AF_INET, AF_INET6, inet_ntop
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from _socket import socket as Socket
    from collections.abc import Iterable

#: linux/in.h, linux/in6.h; the socket module does not export them.
SOL_IP: Final = 0
SOL_IPV6: Final = 41
IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
#: bits/socket.h
MSG_ERRQUEUE: Final = 0x2000

#: struct sock_extended_err (linux/errqueue.h): errno, origin, type, code, pad, info, data.
_EXTENDED: Final = Struct("=IBBBBII")
_ORIGIN_ICMP: Final = 2
_ORIGIN_ICMP6: Final = 3
#: struct sockaddr_in and sockaddr_in6: where the address stands.
_IN_ADDR: Final = slice(4, 8)
_IN6_ADDR: Final = slice(8, 24)

#: Bytes of the offending packet that are taken along; nothing of it is used.
_QUOTE_BYTES: Final = 128
#: Room for the two control messages that can come: an extended error with a sockaddr_in6, and a timestamp.
_CONTROL_BYTES: Final = 256
#: Errors taken from one queue at once; the kernel bounds it by the receive buffer, we by this.
MAX_ERRORS: Final = 64

#: Whether this system has the queue at all.
AVAILABLE: Final = sys.platform == "linux"


class IcmpError(NamedTuple):
    """One ICMP error, as the kernel queued it."""

    errno: int
    type: int
    code: int
    responder: str  #: address of the host that sent the ICMP message; "" if the kernel does not say


def enable(sock: Socket, family: int) -> None:
    """Ask for the queue. Call it before connect(2). Does nothing where there is none."""
    if AVAILABLE:
        if family == AF_INET6:
            sock.setsockopt(SOL_IPV6, IPV6_RECVERR, 1)
        else:
            sock.setsockopt(SOL_IP, IP_RECVERR, 1)


def parse(control: Iterable[tuple[int, int, bytes]]) -> IcmpError | None:
    """The ICMP error in the control messages of one recvmsg(2) with MSG_ERRQUEUE, if they carry one."""
    for level, kind, data in control:
        if (level, kind) not in ((SOL_IP, IP_RECVERR), (SOL_IPV6, IPV6_RECVERR)) or len(data) < _EXTENDED.size:
            continue
        errno, origin, icmp_type, code, _, _, _ = _EXTENDED.unpack_from(data)
        if origin not in (_ORIGIN_ICMP, _ORIGIN_ICMP6):
            continue
        return IcmpError(errno, icmp_type, code, _address(data[_EXTENDED.size :]))
    return None


def _address(sockaddr: bytes) -> str:
    family = int.from_bytes(sockaddr[:2], sys.byteorder)
    if family == AF_INET and len(sockaddr) >= _IN_ADDR.stop:
        return inet_ntop(AF_INET, sockaddr[_IN_ADDR])
    if family == AF_INET6 and len(sockaddr) >= _IN6_ADDR.stop:
        return inet_ntop(AF_INET6, sockaddr[_IN6_ADDR])
    return ""


def drain(sock: Socket) -> IcmpError | None:
    """Empty the queue; the first ICMP error of it, if there was one."""
    if not AVAILABLE:
        return None
    first: IcmpError | None = None
    with suppress(BlockingIOError):
        for _ in range(MAX_ERRORS):
            _, control, _, _ = sock.recvmsg(_QUOTE_BYTES, _CONTROL_BYTES, MSG_ERRQUEUE)
            if first is None:
                first = parse(control)
    return first
