"""Half-open connections as a scanner makes them: a SYN from a raw socket, the SYN-ACK from a packet socket."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import numpy as np
import numpy.typing as npt

#: What `net.repair` reads of a half-open connection, by name.
ROW = np.dtype([
    ("peer", "u4"), ("ours", "u4"), ("peer_port", "u2"), ("own_port", "u2"), ("seq", "u4"), ("ack", "u4"),
    ("window", "u2"), ("mss", "u2"), ("wscale", "i1"), ("sack", "u1"), ("has_ts", "u1"), ("ts_val", "u4"),
    ("ts_ecr", "u4"),
])  # fmt: skip

#: As tcp_synscan's set `windows` offers them: MSS 1460, scale 8, SACK; and with timestamps, as `linux` does.
WINDOWS = bytes.fromhex("020405b4010303080101 0402")
LINUX = bytes.fromhex("020405b4 0402 080a 00001000 00000000 01 030308")
NONE = b""
OWN_WSCALE = 8
_SYN, _SYN_ACK = 0x02, 0x12
_ETHERTYPE = 0x0800
_SECONDS = 60
#: The far side may still know the same ports from before, and not answer.
_AGAIN = 5.0


def segment(
    ours: str, peer: str, own_port: int, port: int, seq: int, *, ack: int = 0, flags: int = _SYN, options: bytes = b"",
    window: int = 64_240, payload: bytes = b"",
) -> bytes:  # fmt: skip
    head = struct.pack("!HHIIBBHHH", own_port, port, seq, ack, (20 + len(options)) << 2, flags, window, 0, 0)
    whole = head + options + payload
    pseudo = socket.inet_aton(ours) + socket.inet_aton(peer) + struct.pack("!BBH", 0, 6, len(whole))
    return whole[:16] + struct.pack("!H", _checksum(pseudo + whole)) + whole[18:]


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


class Shaker:
    """Both sockets; made in the namespace in question, used anywhere."""

    def __init__(self, interface: str, ours: str) -> None:
        self.ours = ours
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self._seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETHERTYPE))
        self._seen.bind((interface, _ETHERTYPE))
        self._seen.settimeout(1.0)

    def send(self, peer: str, what: bytes) -> None:
        self._raw.sendto(what, (peer, 0))

    def synack(self, peer: str, port: int, own_port: int, *, seq: int = 1000, options: bytes = WINDOWS) -> np.void:
        """The half-open connection that a SYN to there made, as a row."""
        end = time.monotonic() + _SECONDS
        again = 0.0
        while (now := time.monotonic()) < end:
            if now >= again:
                self.send(peer, segment(self.ours, peer, own_port, port, seq, options=options))
                again = now + _AGAIN
            try:
                packet = self._seen.recv(2048)
            except TimeoutError:
                continue
            row = row_of(packet)
            expected = (own_port, port, (seq + 1) & 0xFFFF_FFFF)
            if row is not None and (row["own_port"], row["peer_port"], row["ack"]) == expected:
                return row
        raise AssertionError(f"no SYN-ACK from {peer} port {port}")

    def close(self) -> None:
        self._raw.close()
        self._seen.close()


@contextmanager
def shaker(interface: str, ours: str) -> Iterator[Shaker]:
    both = Shaker(interface, ours)
    try:
        yield both
    finally:
        both.close()


def row_of(packet: bytes) -> np.void | None:
    """An IPv4 packet with a SYN-ACK."""
    tcp = packet[(packet[0] & 15) * 4 :]
    if packet[9] != socket.IPPROTO_TCP or tcp[13] & 0x3F != _SYN_ACK:
        return None
    rows: npt.NDArray[np.void] = np.zeros(1, ROW)
    row = rows[0]
    row["peer"], row["ours"] = (int(IPv4Address(packet[at : at + 4])) for at in (12, 16))
    row["peer_port"], row["own_port"], row["seq"], row["ack"] = struct.unpack_from("!HHII", tcp)
    (row["window"],) = struct.unpack_from("!H", tcp, 14)
    row["wscale"] = -1
    options = tcp[20 : (tcp[12] >> 4) * 4]
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        kind, value, options = options[0], options[2 : options[1]], options[options[1] :]
        if kind == 2:
            (row["mss"],) = struct.unpack("!H", value)
        elif kind == 3:
            row["wscale"] = value[0]
        elif kind == 4:
            row["sack"] = 1
        elif kind == 8:
            row["has_ts"] = 1
            row["ts_val"], row["ts_ecr"] = struct.unpack("!II", value)
    return row
