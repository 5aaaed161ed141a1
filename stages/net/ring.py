"""Receiving: an AF_PACKET ring of blocks shared with the kernel, TPACKET_V3 (packet_mmap.rst, packet(7)).

The kernel fills a block with packets and hands it over when it is full or a few milliseconds old. `Ring.wait` gives the
next block; `packets` walks it in one kernel call and writes a table, one row for each IPv4 packet; `Ring.release` gives
the block back. What arrives while all blocks are taken is dropped and counted.

On veth with a real TCP stack behind it packets come as they left the other stack: super-frames of up to 64 KiB (a block
is larger) and checksums that nobody has finished (TP_STATUS_CSUMNOTREADY: not to be verified). The kernel takes the
outer VLAN tag out of the frame; further tags are stepped over here. On an interface without link headers (tun, PPP,
tunnels) a packet begins with its IPv4 header.
"""

from __future__ import annotations

import mmap
import select
import socket
import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stages.net import bpf, headers
from stages.net.checksum import finish, sum_bytes
from stages.net.headers import load16
from stages.net.jit import kernel, piece
from stages.net.packetsocket import PACKET_IGNORE_OUTGOING, SOL_PACKET, interface_error, packet_socket

_ETHERTYPE_ALL: Final = 3  # ETH_P_ALL
_PACKET_RX_RING: Final = 5
_PACKET_STATISTICS: Final = 6
_PACKET_VERSION: Final = 10
_PACKET_FANOUT: Final = 18
_FANOUT_HASH: Final = 0
_FANOUT_UNIQUE: Final = 0x2000  # PACKET_FANOUT_FLAG_UNIQUEID: a number that nobody else has
_TPACKET_V3: Final = 2
_TP_STATUS_USER: Final = 1
_TP_STATUS_CSUMNOTREADY: Final = 1 << 3

#: Larger than a 64 KiB super-frame with its headers; a power of two and a multiple of the page size.
BLOCK_BYTES: Final = 1 << 18
#: 16 MiB in all: about 90 ms of answers at a million a second.
BLOCKS: Final = 64
#: The kernel wants a frame size, although V3 packs packets of any size (TPACKET_ALIGNMENT, divides the block).
_FRAME_BYTES: Final = 2048
#: A block that is not full is handed over after this time: the delay of an answer at low rates (its time of arrival is
#: the kernel's all the same). So all blocks together last for a second of whatever comes, should the reader stall.
RETIRE_MS: Final = 16
#: What a packet takes at least in a block: its header (68, aligned to 16) and a minimal frame. Bounds the table.
_PACKET_MIN_BYTES: Final = 96
MAX_PACKETS: Final = BLOCK_BYTES // _PACKET_MIN_BYTES

# Offsets in struct tpacket_block_desc and struct tpacket3_hdr (linux/if_packet.h).
_BLOCK_STATUS_WORD: Final = 2
_BLOCK_COUNT: Final = 12
_BLOCK_FIRST: Final = 16
_NEXT: Final = 0
_SECONDS: Final = 4
_NANOSECONDS: Final = 8
_CAPTURED: Final = 12
_STATUS: Final = 20
_MAC: Final = 24
_NETWORK: Final = 26

#: Columns of the table: offset of the IPv4 header in the block, end of what was captured, arrival in microseconds since
#: the epoch, and whether its layer 4 checksum is meant to be right already.
IP, END, TIME, FINISHED = range(4)
COLUMNS: Final = 4

_TAG: Final = headers.VLAN_TAG_BYTES
_IPV4: Final = np.uint64(headers.ETHERTYPE_IPV4)
_VLAN: Final = np.uint64(headers.ETHERTYPE_VLAN)
_QINQ: Final = np.uint64(headers.ETHERTYPE_QINQ)
_MIN_IPV4: Final = headers.IPV4_BYTES
_OFFSET_MASK = np.uint64(headers.FRAGMENT_OFFSET)
_MORE = np.uint64(headers.MORE_FRAGMENTS)
_ZERO = np.uint64(0)


class Ring:
    """A receive ring on one interface, with a kernel filter. One reader."""

    def __init__(
        self,
        interface: str,
        filter_code: bytes,
        *,
        blocks: int = BLOCKS,
        vlan: int | None = None,
        link_header: bool = True,
        retire_ms: int = RETIRE_MS,
    ) -> None:
        """The filter is written for Ethernet. `vlan`: only what carries this tag. `link_header` False: packets come
        without one.

        Raises NoRawAccess, OSError (ENODEV; ENOMEM: the ring cannot be had)."""
        self._interface = interface
        # Who asks for IPv4 does not get what bears a tag for which there is an interface: that takes it away.
        protocol = headers.ETHERTYPE_IPV4 if vlan is None else _ETHERTYPE_ALL
        if vlan is not None:
            filter_code = bpf.of_vlan(filter_code, vlan)
        if not link_header:
            filter_code = bpf.without_link_header(filter_code, headers.ETHERNET_BYTES, headers.ETHERTYPE_IPV4)
        self._socket = packet_socket()
        try:
            # Bound last, so that nothing arrives before the filter is in place.
            self._socket.setsockopt(SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            bpf.attach(self._socket, filter_code)
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            size = BLOCK_BYTES * blocks
            request = (BLOCK_BYTES, blocks, _FRAME_BYTES, size // _FRAME_BYTES, retire_ms, 0, 0)
            self._socket.setsockopt(SOL_PACKET, _PACKET_RX_RING, struct.pack("7I", *request))
            self._map = mmap.mmap(self._socket.fileno(), size)
            self._socket.bind((interface, protocol))
        except OSError:
            self._socket.close()
            raise
        memory = np.frombuffer(self._map, np.uint8)
        self._blocks: npt.NDArray[np.uint8] | None = memory.reshape(blocks, BLOCK_BYTES)
        self._status: npt.NDArray[np.uint32] | None = memory.view(np.uint32).reshape(blocks, -1)[:, _BLOCK_STATUS_WORD]
        self._count = blocks
        self._next = 0
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)
        self.drops = 0

    def wait(self, milliseconds: int) -> npt.NDArray[np.uint8] | None:
        """The next block, or None after `milliseconds` without one. Raises OSError when the interface goes down."""
        assert self._blocks is not None
        assert self._status is not None
        if not self._status[self._next] & _TP_STATUS_USER:
            for _, event in self._poll.poll(milliseconds):
                if event & select.POLLERR and (number := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                    raise interface_error(number, self._interface)
            if not self._status[self._next] & _TP_STATUS_USER:
                return None
        block: npt.NDArray[np.uint8] = self._blocks[self._next]
        return block

    def release(self) -> None:
        """Give the block of the last `wait` back to the kernel."""
        assert self._status is not None
        self._status[self._next] = 0
        self._next = (self._next + 1) % self._count

    def count_drops(self) -> int:
        """Packets lost since the ring was made because all blocks were taken."""
        raw = self._socket.getsockopt(SOL_PACKET, _PACKET_STATISTICS, 12)  # struct tpacket_stats_v3; reading resets it
        self.drops += struct.unpack("3I", raw)[1]
        return self.drops

    def fan_out(self, group: int | None) -> int:
        """Share what arrives with the other rings of a group, by connection: None begins a new one. Returns the group.

        Raises OSError."""
        flags = 0 if group is not None else _FANOUT_UNIQUE
        value = (group or 0) | (_FANOUT_HASH | flags) << 16
        self._socket.setsockopt(SOL_PACKET, _PACKET_FANOUT, struct.pack("I", value))
        answer = self._socket.getsockopt(SOL_PACKET, _PACKET_FANOUT, 4)
        return int(struct.unpack("I", answer)[0] & 0xFFFF)

    def close(self) -> None:
        """Unmap and close. A block still held must not be used any more."""
        self._blocks = self._status = None
        self._map.close()
        self._socket.close()


@piece
def _native32(data: Any, offset: Any) -> Any:
    return (
        np.int64(data[offset])
        | np.int64(data[offset + 1]) << 8
        | np.int64(data[offset + 2]) << 16
        | np.int64(data[offset + 3]) << 24
    )


@piece
def _native16(data: Any, offset: Any) -> Any:
    return np.int64(data[offset]) | np.int64(data[offset + 1]) << 8


@kernel
def packets(block: Any, table: Any) -> Any:
    """Walk a block (u8): fill rows of `table` (i64, MAX_PACKETS x COLUMNS); returns (packets seen, rows written).

    Packets that are not IPv4, or too short for an IPv4 header, are seen but get no row.
    """
    count = _native32(block, _BLOCK_COUNT)
    at = _native32(block, _BLOCK_FIRST)
    rows = 0
    for _ in range(count):
        frame = at + _native16(block, at + _MAC)
        ip = at + _native16(block, at + _NETWORK)
        captured = _native32(block, at + _CAPTURED)
        end = frame + captured
        if ip <= end:
            ethertype = load16(block, ip - 2) if ip > frame else _IPV4
            while ethertype in (_VLAN, _QINQ) and ip + _TAG <= end:
                ip += _TAG
                ethertype = load16(block, ip - 2)
            if ethertype == _IPV4 and ip + _MIN_IPV4 <= end and rows < table.shape[0]:
                seconds = _native32(block, at + _SECONDS)
                table[rows, IP] = ip
                table[rows, END] = end
                table[rows, TIME] = seconds * 1_000_000 + _native32(block, at + _NANOSECONDS) // 1000
                table[rows, FINISHED] = (_native32(block, at + _STATUS) & _TP_STATUS_CSUMNOTREADY) == 0
                rows += 1
        at += _native32(block, at + _NEXT)
    return count, rows


@piece
def ipv4(data: Any, ip: Any, end: Any) -> Any:
    """Read an IPv4 header at `ip` of a u8 array: (layer 4 offset, end of the packet, whether all of it is here).

    The offset is -1 for what is no IPv4 header, has a wrong header checksum or is a later fragment. `end` is where the
    captured bytes end; what Ethernet padded behind the packet is cut off.
    """
    if ip + _MIN_IPV4 > end:
        return -1, end, False
    layer4 = ip + (np.int64(data[ip]) & 15) * 4
    total = np.int64(load16(data, ip + 2))
    fragment = load16(data, ip + 6)
    if (data[ip] >> 4) != 4 or layer4 < ip + _MIN_IPV4 or layer4 > end or ip + total < layer4:
        return -1, end, False
    if fragment & _OFFSET_MASK or finish(sum_bytes(data, ip, layer4)):
        return -1, end, False
    here = ip + total <= end and fragment & _MORE == _ZERO
    return layer4, min(ip + total, end), here
