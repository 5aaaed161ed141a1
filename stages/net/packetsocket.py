"""Sending whole frames from one array: AF_PACKET and sendmmsg(2) (packet(7)).

The frames lie in a two-dimensional array, one a row. The message headers that point to the rows are made once; a batch
is then one system call without a copy in Python and without the GIL. PACKET_QDISC_BYPASS hands the frames to the driver
without the queueing discipline: faster, and a full transmit queue shows as ENOBUFS instead of a silent drop.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SOL_PACKET: Final = 263
PACKET_QDISC_BYPASS: Final = 20
PACKET_IGNORE_OUTGOING: Final = 23

#: sendmmsg takes no more messages a call (UIO_MAXIOV).
MAX_MESSAGES: Final = 1024

#: A send buffer for some thousand frames; the kernel accounts about 800 bytes for a minimal one.
_SEND_BUFFER_BYTES: Final = 4 << 20


class NoRawAccess(PermissionError):
    """Packet sockets are not allowed here: no CAP_NET_RAW."""

    def __init__(self) -> None:
        super().__init__(errno.EPERM, "packet sockets need CAP_NET_RAW, which this process does not have")


class _IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class _MsgHdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _MMsgHdr(ctypes.Structure):
    _fields_ = [("hdr", _MsgHdr), ("len", ctypes.c_uint)]


def packet_socket(protocol: int = 0) -> socket.socket:
    """A raw packet socket; with protocol 0 it receives nothing until it is bound. Raises NoRawAccess, OSError."""
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    except PermissionError as error:
        raise NoRawAccess from error


class FrameSender:
    """Sends rows of `frames` (u8, C-contiguous), the first `length` bytes of each, out of `interface`.

    At most MAX_MESSAGES rows. Not for several threads at once.
    """

    def __init__(self, interface: str, frames: npt.NDArray[np.uint8], length: int) -> None:
        """Raises NoRawAccess, OSError (ENODEV: no such interface), ValueError for an array that does not fit."""
        rows, stride = frames.shape
        if not (frames.flags.c_contiguous and 0 < length <= stride and 0 < rows <= MAX_MESSAGES):
            raise ValueError(f"frames of {length} bytes in an array of {frames.shape}")
        self._frames = frames  # keeps the memory alive that the headers point to
        self._vectors = (_IoVec * rows)()
        self._messages = (_MMsgHdr * rows)()
        base, vectors = frames.ctypes.data, ctypes.addressof(self._vectors)
        for row in range(rows):
            self._vectors[row].base = base + row * stride
            self._vectors[row].len = length
            self._messages[row].hdr.iov = vectors + row * ctypes.sizeof(_IoVec)
            self._messages[row].hdr.iovlen = 1
        self._first = ctypes.addressof(self._messages)
        self._step = ctypes.sizeof(_MMsgHdr)
        self._sendmmsg: Any = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self._socket = packet_socket()
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, struct.pack("i", 1))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._socket.bind((interface, 0))
        except OSError:
            self._socket.close()
            raise
        self._fd = self._socket.fileno()

    def send(self, first: int, count: int) -> tuple[int, int]:
        """Send rows first .. first + count - 1, in order. Returns (rows sent, errno), errno 0 if none failed.

        The kernel may take fewer than asked: the row after the last one sent is the one to try next.
        """
        sent = int(self._sendmmsg(self._fd, self._first + first * self._step, count, 0))
        if sent < 0:
            return 0, ctypes.get_errno()
        return sent, 0

    def close(self) -> None:
        self._socket.close()


def interface_error(number: int, interface: str) -> OSError:
    """What a failed send means, as an exception with a text for people."""
    if number == errno.ENETDOWN:
        return OSError(number, f"interface {interface} is down")
    if number in (errno.ENXIO, errno.ENODEV):
        return OSError(number, f"interface {interface} has gone")
    return OSError(number, f"sending from {interface}: {os.strerror(number)}")
