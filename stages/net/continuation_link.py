"""The way in and out of a continuation: its filter, its ring, and frames with their link headers on a wire.

xdp      AF_XDP, where a queue of the interface is free for it
packet   AF_PACKET
ip       raw IP sockets, where there is no gateway or no Ethernet header
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from stages.net import bpf, headers, tcp, xsk
from stages.net.packetsocket import Frames, FrameSender, Wire, interface_error
from stages.net.rawip import RawIpSender

#: Frames in one call.
ROWS: Final = 1024
#: A full transmit queue empties in microseconds; after so many tries frames are left out, and counted: TCP sends again.
_TRIES: Final = 200
_BACKOFF_S: Final = 50e-6
_RETRIED: Final = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.ENOMEM})
#: AF_XDP: one block is filled, the other is on its way.
_XDP_BLOCKS: Final = 2
#: All of a packet, super-frames too.
_WHOLE: Final = 0x40000


@dataclass(frozen=True, slots=True)
class Link:
    """The way out: as the scanner that sent the SYNs has it."""

    interface: str
    source_mac: bytes = headers.NO_MAC
    gateway_mac: bytes | None = None  #: None: raw IP sockets, the kernel finds way and neighbour
    vlan: int | None = None
    link_header: bool = True  #: False: packets come without Ethernet headers
    ttl: int = 64
    mtu: int = 1500


def packet_filter(source_ports: tuple[int, int]) -> bytes:
    """Every TCP packet to one of our ports, whole, and ICMP errors. IPv4 in Ethernet."""
    first, last = source_ports
    return bpf.assemble([
        bpf.Op(bpf.LD_H, 12),
        bpf.Op(bpf.JEQ, headers.ETHERTYPE_IPV4, None, "drop"),
        bpf.Op(bpf.LD_H, 20),
        bpf.Op(bpf.JSET, headers.FRAGMENT_OFFSET, "drop"),
        bpf.Op(bpf.LDX_IP, headers.ETHERNET_BYTES),
        bpf.Op(bpf.LD_B, 23),
        bpf.Op(bpf.JEQ, headers.PROTOCOL_ICMP, "icmp"),
        bpf.Op(bpf.JEQ, headers.PROTOCOL_TCP, None, "drop"),
        bpf.Op(bpf.LD_H_X, headers.ETHERNET_BYTES + 2),
        bpf.Op(bpf.JGE, first, None, "drop"),
        bpf.Op(bpf.JGT, last, "drop", "keep"),
        "icmp",
        bpf.Op(bpf.LD_B_X, headers.ETHERNET_BYTES),
        *(bpf.Op(bpf.JEQ, kind, "keep") for kind in headers.ICMP_ERRORS),
        "drop",
        bpf.Op(bpf.RET, 0),
        "keep",
        bpf.Op(bpf.RET, _WHOLE),
    ])  # fmt: skip


class Outlet:
    """Rows that kernels fill (`frames`, `lengths`), and the wire that they leave by. One thread's own."""

    def __init__(self, link: Link, kind: Literal["packet", "xdp"] = "packet") -> None:
        """Raises NoRawAccess, OSError (ENODEV; EPFNOSUPPORT: no tags without a gateway)."""
        raw = link.gateway_mac is None or not link.link_header
        if raw and link.vlan is not None:
            raise OSError(errno.EPFNOSUPPORT, "raw IP sockets send no VLAN tags")
        self.interface = link.interface
        tagged = link.vlan is not None
        #: Where the IPv4 header of a row begins.
        self.ip_at = headers.ETHERNET_BYTES + (headers.VLAN_TAG_BYTES if tagged else 0)
        count = _XDP_BLOCKS if kind == "xdp" and not raw else 1
        memory = xsk.memory(count * ROWS * tcp.STRIDE)
        self._blocks = memory[: count * ROWS * tcp.STRIDE].reshape(count, ROWS, tcp.STRIDE)
        if not raw:
            assert link.gateway_mac is not None
            header = (
                headers.vlan_header(link.gateway_mac, link.source_mac, link.vlan)
                if link.vlan is not None
                else link.gateway_mac + link.source_mac + headers.ETHERTYPE_IPV4.to_bytes(2, "big")
            )
            self._blocks[:, :, : self.ip_at] = np.frombuffer(header, np.uint8)
        self.lengths: npt.NDArray[np.int64] = np.full(ROWS, tcp.STRIDE, np.int64)
        rows = Frames(self._blocks, tcp.STRIDE, offset=self.ip_at if raw else 0, lengths=self.lengths)
        self.wire: Wire = (
            RawIpSender(link.interface, rows)
            if raw
            else xsk.open_best(link.interface, rows)
            if kind == "xdp"
            else FrameSender(link.interface, rows)
        )
        self.frames: npt.NDArray[np.uint8] = self._blocks[max(self.wire.free(), 0)]
        self.sent = 0
        self.left_out = 0  #: the transmit queue stayed full

    def send(self, count: int) -> None:
        """Send the first rows; then `frames` is a block that may be filled. Raises OSError: the interface is gone."""
        done = tries = 0
        while done < count:
            taken, number = self.wire.send(done, count - done)
            done += taken
            self.sent += taken
            if not number:
                continue
            if number not in _RETRIED:
                raise interface_error(number, self.interface)
            tries += 1
            if tries > _TRIES:
                self.left_out += count - done
                break
            time.sleep(_BACKOFF_S)
        block = self.wire.free()
        while block < 0:
            time.sleep(_BACKOFF_S)
            block = self.wire.free()
        self.frames = self._blocks[block]

    def close(self) -> None:
        self.wire.close()
