"""Half-open connections to real kernels: SYNs by a raw socket, SYN-ACKs from a packet socket. To run in a namespace."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence

import numpy as np

from stages.net.halfopen import HALFOPEN
from tests.servers.tcp_table import ACK, SYN, Segment

WSCALE = 8
#: MSS 1460, NOP, window scale, SACK permitted.
OPTIONS = b"\x02\x04\x05\xb4\x01\x03\x03" + bytes([WSCALE]) + b"\x04\x02\x00\x00"
STAMP = 77_000_000
#: SYNs that are answered before more are sent: a listener's queue is finite.
_SLICE = 256


def half_open(
    interface: str,
    ours: int,
    targets: Sequence[tuple[int, int]],
    *,
    first_port: int = 40_000,
    options: bytes = OPTIONS,
    stamps: bool = False,
    wait: float = 10.0,
) -> np.ndarray:
    """Rows of HALFOPEN for (address, port) pairs that answered, tag = their place."""
    rows = np.zeros(len(targets), HALFOPEN)
    found = np.zeros(len(targets), bool)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out,
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as back,
    ):
        back.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        back.bind((interface, 0x0800))
        for start in range(0, len(targets), _SLICE):
            part = range(start, min(start + _SLICE, len(targets)))
            sent_at = time.time()
            for i in part:
                address, port = targets[i]
                syn = Segment(
                    ours, address, first_port + i % 20_000, port, 5000 + i, 0, SYN, 65_535, options=options,
                    stamp=(STAMP, 0) if stamps else None,
                )  # fmt: skip
                out.sendto(syn.packet(), (socket.inet_ntoa(address.to_bytes(4, "big")), 0))
            places = {(targets[i][0], targets[i][1], first_port + i % 20_000): i for i in part}
            end = time.monotonic() + wait
            while places and time.monotonic() < end:
                if not select.select([back], [], [], end - time.monotonic())[0]:
                    break
                packet = back.recv(2048)
                if packet[9] != 6 or packet[33] & (SYN | ACK) != SYN | ACK:
                    continue
                source = int.from_bytes(packet[12:16], "big")
                sport, dport, seq, ack, head, _, window = struct.unpack_from("!HHIIBBH", packet, 20)
                place = places.pop((source, sport, dport), None)
                if place is None:
                    continue
                row = rows[place]
                row["peer"], row["ours"], row["peer_port"], row["own_port"] = source, ours, sport, dport
                row["seq"], row["ack"], row["window"], row["wscale"], row["tag"] = seq, ack, window, -1, place
                _options(row, packet[40 : 20 + (head >> 2)])
                row["ts"], row["rtt"] = int(time.time() * 1e6), time.time() - sent_at
                found[place] = True
    return rows[found]


def _options(row: np.void, options: bytes) -> None:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        kind, size = options[at], options[at + 1]
        value = options[at + 2 : at + size]
        if kind == 2:
            row["mss"] = int.from_bytes(value, "big")
        elif kind == 3:
            row["wscale"] = value[0]
        elif kind == 8:
            row["has_ts"] = 1
            row["ts_val"], row["ts_ecr"] = struct.unpack("!II", value)
        at += size
