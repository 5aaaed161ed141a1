"""Sending IPv4 packets without a link header: a raw IP socket with IP_HDRINCL (raw(7), ip(7)).

For interfaces that have no Ethernet headers: tun, PPP, tunnels of all kinds, most VPNs. The kernel finds the way and,
on an Ethernet, the neighbour of each packet; it fills in the IP checksum and passes its firewall and the interface's
queueing discipline. That costs: the packet socket is faster where there is a choice.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

import numpy as np

from stages.net.packetsocket import SEND_BUFFER_BYTES, Messages, Rows, raw_socket

# linux/in.h
_IP_RECVERR: Final = 11
_SO_SNDBUFFORCE: Final = 32

#: struct sockaddr_in: family, port, address, padding.
_NAME: Final = struct.Struct("=HHI8x")
_ADDRESS: Final = slice(4, 8)
#: Where the target stands in a row, which begins with (unused) 14 bytes of link header.
_TARGET: Final = slice(30, 34)

#: What says that this one packet cannot be sent, and nothing about the next: no route, forbidden by a rule or by being
#: a broadcast address, not an address.
_REFUSED: Final = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.EACCES, errno.EINVAL, errno.EADDRNOTAVAIL}
)


class RawIpSender:
    """Sends rows out of `interface`, from their IPv4 header on (a `Wire`)."""

    def __init__(self, interface: str, rows: Rows) -> None:
        """Raises NoRawAccess, OSError (ENODEV), ValueError."""
        self._rows = rows
        self._messages = Messages(rows, _NAME.size)
        self._messages.names[:] = np.frombuffer(_NAME.pack(socket.AF_INET, 0, 0), np.uint8)
        self._socket = raw_socket(socket.AF_INET, socket.IPPROTO_RAW)  # implies IP_HDRINCL
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            # Without it a full queue (ENOBUFS) is not told, and the packet lost.
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # errors queue up unread: few
        except OSError:
            self._socket.close()
            raise
        self._fd = self._socket.fileno()
        self.refused = 0

    def free(self) -> int:
        return 0

    def send(self, first: int, count: int) -> tuple[int, int]:
        """As `Wire.send`. A packet that would never be taken is stepped over and counted in `refused`."""
        end = first + count
        self._messages.names[first:end, _ADDRESS] = self._rows.blocks[0, first:end, _TARGET]
        sent, number = self._messages.send(self._fd, first, count)
        if number in _REFUSED:
            self.refused += 1
            return 1, 0
        return sent, number

    def drain(self) -> bool:
        return True

    def close(self) -> None:
        self._socket.close()
