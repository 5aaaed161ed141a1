"""Sending whole frames from one array: AF_PACKET and sendmmsg(2) (packet(7)).

The frames lie in rows of an array (`Rows`). The message headers that point to the rows are made once; a batch is then
one system call without a copy in Python and without the GIL. PACKET_QDISC_BYPASS hands the frames to the driver without
the queueing discipline: faster, and a full transmit queue shows as ENOBUFS instead of a silent drop.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

SOL_PACKET: Final = 263
PACKET_QDISC_BYPASS: Final = 20
PACKET_IGNORE_OUTGOING: Final = 23

#: sendmmsg takes no more messages a call (UIO_MAXIOV).
MAX_MESSAGES: Final = 1024

#: A send buffer for some thousand frames; the kernel accounts about 800 bytes for a minimal one.
SEND_BUFFER_BYTES: Final = 4 << 20

#: struct iovec and struct mmsghdr as arrays (64-bit or 32-bit by the size of a pointer, natural alignment).
_IOVEC: Final = np.dtype([("base", np.uintp), ("len", np.uintp)])
_HEADER: Final = np.dtype(
    [
        ("name", np.uintp), ("namelen", np.uint32), ("iov", np.uintp), ("iovlen", np.uintp),
        ("control", np.uintp), ("controllen", np.uintp), ("flags", np.int32),
    ],
    align=True,
)  # fmt: skip
_MESSAGE: Final = np.dtype([("header", _HEADER), ("sent", np.uint32)], align=True)


class NoRawAccess(PermissionError):
    """Packet sockets are not allowed here: no CAP_NET_RAW."""

    def __init__(self) -> None:
        super().__init__(errno.EPERM, "packet sockets need CAP_NET_RAW, which this process does not have")


class Rows(Protocol):
    """Frames in memory. What is sent of a row is `length` (or the row's own of `lengths`) less `offset` bytes, from
    `offset` on; that is negative where a header stands in front of the row."""

    @property
    def blocks(self) -> npt.NDArray[np.uint8]:
        """(blocks, rows, stride), C-contiguous. A block is filled while another one is sent."""

    @property
    def offset(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def lengths(self) -> npt.NDArray[np.int64] | None:
        """Of the rows of the block filled last; None: all have `length`."""


@dataclass
class Frames:
    """Rows that somebody filled by hand."""

    blocks: npt.NDArray[np.uint8]
    length: int
    offset: int = 0
    lengths: npt.NDArray[np.int64] | None = None


class Wire(Protocol):
    """A way out for frames. One thread's own, except for `close`."""

    refused: int  #: frames that the kernel would never take; counted as sent

    def free(self) -> int:
        """The block that may be filled next; -1: none for now."""

    def send(self, first: int, count: int) -> tuple[int, int]:
        """Send rows first .. first + count - 1 of that block, in order. Returns (rows taken, errno), 0 if none failed.

        The kernel may take fewer than asked: the row behind the last one taken is the one to go on with.
        """

    def drain(self) -> bool:
        """Whether all that was taken has left; to be asked until it has, at the end."""

    def close(self) -> None: ...


def packet_socket(protocol: int = 0) -> socket.socket:
    """A raw packet socket; with protocol 0 it receives nothing until it is bound. Raises NoRawAccess, OSError."""
    return raw_socket(socket.AF_PACKET, socket.htons(protocol))


def raw_socket(family: int, protocol: int) -> socket.socket:
    """Raises NoRawAccess, OSError."""
    try:
        return socket.socket(family, socket.SOCK_RAW, protocol)
    except PermissionError as error:
        raise NoRawAccess from error


def check_rows(rows: Rows) -> None:
    """Raise ValueError for rows that do not fit their memory."""
    count, stride = rows.blocks.shape[1:]
    ours = rows.blocks.flags.c_contiguous and count > 0
    # What stands in front of a row lies at the end of the row before it.
    if not (ours and max(rows.offset, 0) < rows.length <= stride + min(rows.offset, 0)):
        raise ValueError(f"frames of {rows.length} bytes in an array of {rows.blocks.shape}")


class Messages:
    """Messages for sendmmsg(2) that point to the rows of one block, each with a name of `name_bytes` bytes."""

    def __init__(self, rows: Rows, name_bytes: int = 0) -> None:
        """Raises ValueError for an array that does not fit."""
        check_rows(rows)
        self._rows = rows  # keeps the memory alive that the headers point to
        block = rows.blocks[0]
        count, stride = block.shape
        index = np.arange(count, dtype=np.uintp)
        self._vectors = np.zeros(count, _IOVEC)
        self._vectors["base"] = block.ctypes.data + rows.offset + index * stride
        self._vectors["len"] = rows.length - rows.offset
        self.names = np.zeros((count, name_bytes), np.uint8)
        self._messages = np.zeros(count, _MESSAGE)
        self._messages["header"]["iov"] = self._vectors.ctypes.data + index * _IOVEC.itemsize
        self._messages["header"]["iovlen"] = 1
        if name_bytes:
            self._messages["header"]["name"] = self.names.ctypes.data + index * name_bytes
            self._messages["header"]["namelen"] = name_bytes
        self._first = self._messages.ctypes.data
        self._sendmmsg: Any = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)

    def send(self, fd: int, first: int, count: int) -> tuple[int, int]:
        """As `Wire.send`."""
        lengths = self._rows.lengths
        if lengths is not None:
            end = first + count
            self._vectors["len"][first:end] = lengths[first:end] - self._rows.offset
        sent = int(self._sendmmsg(fd, self._first + first * _MESSAGE.itemsize, min(count, MAX_MESSAGES), 0))
        return (0, ctypes.get_errno()) if sent < 0 else (sent, 0)


class FrameSender:
    """Sends rows out of `interface` (a `Wire`). The kernel copies them before a call returns."""

    def __init__(self, interface: str, rows: Rows) -> None:
        """Raises NoRawAccess, OSError (ENODEV: no such interface), ValueError for an array that does not fit."""
        self._messages = Messages(rows)
        self._socket = packet_socket()
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, struct.pack("i", 1))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._socket.bind((interface, 0))
        except OSError:
            self._socket.close()
            raise
        self._fd = self._socket.fileno()
        self.refused = 0

    def free(self) -> int:
        return 0

    def send(self, first: int, count: int) -> tuple[int, int]:
        return self._messages.send(self._fd, first, count)

    def drain(self) -> bool:
        return True

    def close(self) -> None:
        self._socket.close()


def interface_error(number: int, interface: str) -> OSError:
    """What a failed send means, as an exception with a text for people."""
    if number == errno.ENETDOWN:
        return OSError(number, f"interface {interface} is down")
    if number in (errno.ENXIO, errno.ENODEV):
        return OSError(number, f"interface {interface} has gone")
    return OSError(number, f"sending from {interface}: {os.strerror(number)}")
