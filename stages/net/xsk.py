"""Sending from memory shared with the kernel: an AF_XDP socket that only transmits (af_xdp.rst in the kernel's
documentation).

The rows lie in the UMEM, so a frame is built where it is sent from. A descriptor (address, length) for each goes into
the transmit ring; the kernel takes them when it is kicked (sendto without data) and gives the addresses back through
the completion ring; then, and not before, their block may be filled anew. No BPF program is needed to send.

    free  -> a block with nothing on its way           post -> descriptors       kick -> the kernel takes some
    fill                                                                        collect <- completions

Where the driver can, it sends from the rows themselves (zero copy); elsewhere the kernel copies each into a buffer of
its own (copy mode, any driver), at most 32 a kick unless XDP_MAX_TX_SKB_BUDGET says otherwise (Linux 6.17).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stages.net.jit import kernel
from stages.net.packetsocket import SEND_BUFFER_BYTES, Rows, check_rows, raw_socket

# linux/if_xdp.h
AF_XDP: Final = 44
_SOL_XDP: Final = 283
_MMAP_OFFSETS: Final = 1
_TX_RING: Final = 3
_UMEM_REG: Final = 4
_FILL_RING: Final = 5
_COMPLETION_RING: Final = 6
_OPTIONS: Final = 8
_MAX_TX_SKB_BUDGET: Final = 9
_OPTIONS_ZEROCOPY: Final = 1
_BIND_COPY: Final = 1 << 1
_BIND_NEED_WAKEUP: Final = 1 << 3
_RING_NEED_WAKEUP: Final = 1
_PAGE_TX: Final = 0x80000000
_PAGE_COMPLETION: Final = 0x180000000
_REGISTER: Final = struct.Struct(
    "=QQIIII"
)  # struct xdp_umem_reg: address, length, chunk size, headroom, flags, padding
_SOCKADDR: Final = struct.Struct("=HHIII")  # struct sockaddr_xdp
_OFFSETS: Final = struct.Struct("=16Q")  # struct xdp_mmap_offsets: (producer, consumer, entries, flags) of four rings
_DESCRIPTOR_BYTES: Final = 16
_WORD: Final = 1 << 32  # ring indexes are u32

#: A chunk of the UMEM, the most that one frame may take. The largest that need not be a huge page.
CHUNK_BYTES: Final = 4096
#: We receive nothing, but a UMEM has a fill ring.
_NO_FILL: Final = 2

#: The kernel ends a socket in the background: for about a second its queue stays taken.
BUSY_S: Final = 1.5
_BUSY_LOOK_S: Final = 0.05
#: A driver takes frames by itself within microseconds; so many looks, so far apart, before we report that it is full.
_LOOKS: Final = 50
_LOOK_S: Final = 20e-6


class NoXdp(OSError):
    """Frames cannot be sent by AF_XDP from here; the text says why."""


def memory(size: int) -> npt.NDArray[np.uint8]:
    """Zeros for rows, at least `size` bytes of them in whole pages: what a UMEM can be made of."""
    return np.frombuffer(mmap.mmap(-1, -(-size // CHUNK_BYTES) * CHUNK_BYTES), np.uint8)


@kernel
def post(
    addresses: Any, lengths: Any, producer: Any, base: Any, stride: Any, first: Any, count: Any, of: Any, less: Any
) -> None:
    """Write descriptors for rows first .. first + count - 1: row i lies at base + i * stride and has of[i] - less bytes.

    The ring is seen twice: `addresses` as u64 x 2, `lengths` as u32 x 4.
    """
    mask = addresses.shape[0] - 1
    for i in range(count):
        slot = (producer + i) & mask
        addresses[slot, 0] = base + (first + i) * stride
        lengths[slot, 2] = of[first + i] - less
        lengths[slot, 3] = 0


@kernel
def collect(done: Any, consumer: Any, count: Any, block_bytes: Any, under_way: Any) -> None:
    """Take `count` completions: each is the address of a frame of a block that is no longer under way."""
    mask = done.size - 1
    for i in range(count):
        under_way[np.int64(done[(consumer + i) & mask]) // block_bytes] -= 1


class XskSender:
    """Sends rows out of one queue of `interface` (a `Wire`)."""

    def __init__(
        self,
        interface: str,
        rows: Rows,
        queue: int = 0,
        *,
        copy: bool = False,
        busy: float = BUSY_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`rows` begin in `memory`, at most a page behind its start. `copy`: do not try zero copy. A queue that is
        taken is tried again for `busy` seconds.

        Raises NoXdp, NoRawAccess, OSError (ENODEV), ValueError.
        """
        check_rows(rows)
        blocks, count, stride = rows.blocks.shape
        if CHUNK_BYTES % stride:
            raise NoXdp(errno.EMSGSIZE, f"a frame of {rows.length} bytes is more than a page of memory")
        self._rows, self._interface, self._stride = rows, interface, stride
        self._block_bytes = count * stride
        start = rows.blocks.ctypes.data
        self._start = start % CHUNK_BYTES + rows.offset
        self._entries = 1 << (blocks * count).bit_length()  # one more at least than there are rows
        self._under_way = np.zeros(blocks, np.int64)  # frames of each block that are not completed
        self._fixed = np.full(count, rows.length, np.int64)
        self._block = 0
        self._produced = self._taken = self._collected = 0
        self.refused = 0
        libc: Any = ctypes.CDLL(None, use_errno=True)
        self._bind, self._sendto = libc.bind, libc.sendto
        self._sendto.argtypes = (
            ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint,
        )  # fmt: skip
        try:
            self._socket = raw_socket(AF_XDP, 0)
        except PermissionError:
            raise
        except OSError as error:
            raise NoXdp(error.errno, "this kernel has no AF_XDP") from error
        self._fd = self._socket.fileno()
        try:
            self._set_up(start - start % CHUNK_BYTES, -(-(rows.blocks.nbytes + start % CHUNK_BYTES) // CHUNK_BYTES))
            self._join(socket.if_nametoindex(interface), queue, copy, clock() + busy, clock, sleep)
            options = self._socket.getsockopt(_SOL_XDP, _OPTIONS, 4)
            self.zero_copy = bool(struct.unpack("=I", options)[0] & _OPTIONS_ZEROCOPY)
            if self.zero_copy and (number := self._kick()) not in (0, errno.EAGAIN):
                # Some drivers have transmit queues for this only while an XDP program is loaded.
                raise NoXdp(number, f"zero copy on {interface}: {os.strerror(number)}")
        except OSError:
            self.close()
            raise

    def _set_up(self, start: int, chunks: int) -> None:
        """UMEM and rings."""
        sock, size = self._socket, chunks * CHUNK_BYTES
        try:
            sock.setsockopt(_SOL_XDP, _UMEM_REG, _REGISTER.pack(start, size, CHUNK_BYTES, 0, 0, 0))
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise NoXdp(error.errno, f"no memory shared with the kernel: {error.strerror}") from error
            limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
            raise NoXdp(
                error.errno,
                f"{size} bytes cannot be locked in memory: RLIMIT_MEMLOCK is {limit}; raise it (ulimit -l), or give the"
                " process CAP_IPC_LOCK",
            ) from error
        for option, entries in ((_FILL_RING, _NO_FILL), (_COMPLETION_RING, self._entries), (_TX_RING, self._entries)):
            sock.setsockopt(_SOL_XDP, option, entries)
        try:
            sock.setsockopt(_SOL_XDP, _MAX_TX_SKB_BUDGET, self._entries)
        except OSError:
            pass  # an older kernel: 32 a kick, so there are more kicks
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        offsets = _OFFSETS.unpack(sock.getsockopt(_SOL_XDP, _MMAP_OFFSETS, _OFFSETS.size))
        transmit, completion = offsets[4:8], offsets[12:16]
        self._tx = mmap.mmap(self._fd, transmit[2] + self._entries * _DESCRIPTOR_BYTES, offset=_PAGE_TX)
        self._cr = mmap.mmap(self._fd, completion[2] + self._entries * 8, offset=_PAGE_COMPLETION)
        self._tx_producer = np.frombuffer(self._tx, np.uint32, 1, transmit[0])
        self._tx_consumer = np.frombuffer(self._tx, np.uint32, 1, transmit[1])
        self._tx_flags = np.frombuffer(self._tx, np.uint32, 1, transmit[3])
        self._addresses = np.frombuffer(self._tx, np.uint64, 2 * self._entries, transmit[2]).reshape(-1, 2)
        self._lengths = np.frombuffer(self._tx, np.uint32, 4 * self._entries, transmit[2]).reshape(-1, 4)
        self._cr_producer = np.frombuffer(self._cr, np.uint32, 1, completion[0])
        self._cr_consumer = np.frombuffer(self._cr, np.uint32, 1, completion[1])
        self._done = np.frombuffer(self._cr, np.uint64, self._entries, completion[2])

    def _join(
        self,
        index: int,
        queue: int,
        copy: bool,
        until: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Any],
    ) -> None:
        """Bind to the queue. Without a flag for either the kernel takes zero copy where the driver has it."""
        flags = _BIND_NEED_WAKEUP | (_BIND_COPY if copy else 0)
        address = _SOCKADDR.pack(AF_XDP, flags, index, queue, 0)
        while self._bind(self._fd, address, len(address)):
            number = ctypes.get_errno()
            if number == errno.EBUSY and clock() < until:
                sleep(_BUSY_LOOK_S)
                continue
            where = f"queue {queue} of {self._interface}"
            if number == errno.EBUSY:
                raise NoXdp(number, f"{where} is taken by another AF_XDP socket")
            raise NoXdp(number, f"{where} cannot be had: {os.strerror(number)}")

    def free(self) -> int:
        self._collect()
        blocks = len(self._under_way)
        for step in range(1, blocks + 1):
            block = (self._block + step) % blocks
            if not self._under_way[block]:
                self._block = block
                return block
        self._kick()
        return -1

    def send(self, first: int, count: int) -> tuple[int, int]:
        """As `Wire.send`. What was put into the ring and is not taken yet stays there: the next call, for the rows
        behind those taken, goes on with it and does not put it there again."""
        if self._produced == self._taken:
            self._post(first, count)
        sent = looks = 0
        while self._produced != self._taken:
            number = self._kick()
            moved = self._advance(number)
            sent += moved
            if number == errno.EBUSY:
                return sent, errno.ENOBUFS
            if number not in (0, errno.EAGAIN):
                return sent, number
            if moved or self._collect():
                looks = 0
                continue
            if looks == _LOOKS:
                return sent, errno.ENOBUFS
            looks += 1
            time.sleep(_LOOK_S)
        return sent, 0

    def _post(self, first: int, count: int) -> None:
        """Descriptors, then the index that shows them to the kernel."""
        of = self._fixed if self._rows.lengths is None else self._rows.lengths
        base = self._start + self._block * self._block_bytes
        post(self._addresses, self._lengths, self._produced, base, self._stride, first, count, of, self._rows.offset)
        self._under_way[self._block] += count
        self._show(count)

    def _show(self, count: int) -> None:
        self._produced = (self._produced + count) % _WORD
        self._tx_producer[0] = self._produced

    def _kick(self) -> int:
        """Have the kernel take frames, if it wants to be told. Returns errno."""
        if not self._tx_flags[0] & _RING_NEED_WAKEUP:
            return 0
        return 0 if self._sendto(self._fd, None, 0, socket.MSG_DONTWAIT, None, 0) >= 0 else ctypes.get_errno()

    def _advance(self, number: int) -> int:
        """How many frames a kick that ended with `number` has sent.

        EBUSY says that the frame taken last was thrown away (copy mode, no carrier): it goes into the ring once more.
        The kernel may not have told its index yet, but then it has completed the frame.
        """
        moved = (int(self._tx_consumer[0]) - self._taken) % _WORD
        if number == errno.EBUSY:
            self._collect()
            completed = (self._collected - self._taken) % _WORD
            moved = max(moved, completed if completed < _WORD // 2 else 0)
        elif moved > (self._produced - self._taken) % _WORD:
            moved = 0  # the kernel tells later what EBUSY has told already
        self._taken = (self._taken + moved) % _WORD
        if number != errno.EBUSY or not moved:
            return moved
        mask = self._entries - 1
        lost, again = (self._taken - 1) & mask, self._produced & mask
        self._addresses[again] = self._addresses[lost]
        self._under_way[int(self._addresses[lost, 0]) // self._block_bytes] += 1
        self._show(1)
        return moved - 1

    def _collect(self) -> int:
        """Take the completions that are there; returns how many."""
        count = (int(self._cr_producer[0]) - self._collected) % _WORD
        if count:
            collect(self._done, self._collected, count, self._block_bytes, self._under_way)
            self._collected = (self._collected + count) % _WORD
            self._cr_consumer[0] = self._collected
        return count

    def drain(self) -> bool:
        self._collect()
        if not self._under_way.any():
            return True
        self._kick()
        return False

    def close(self) -> None:
        """Idempotent. What has not left by then does not leave."""
        # The mappings end with the arrays that look at them.
        for name in ("_tx_producer", "_tx_consumer", "_tx_flags", "_addresses", "_lengths"):
            self.__dict__.pop(name, None)
        for name in ("_cr_producer", "_cr_consumer", "_done", "_tx", "_cr"):
            self.__dict__.pop(name, None)
        self._socket.close()


def open_best(interface: str, rows: Rows, queue: int = 0) -> XskSender:
    """An XskSender with zero copy where it works, else with copying. Raises as XskSender does."""
    try:
        return XskSender(interface, rows, queue)
    except NoXdp as error:
        if error.errno in (errno.EBUSY, errno.ENOBUFS, errno.EMSGSIZE, errno.EAFNOSUPPORT):
            raise
        return XskSender(interface, rows, queue, copy=True)
