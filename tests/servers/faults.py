"""A path with faults between two namespaces, in user space: `python -m tests.servers.faults NEAR FAR JSON`.

    near0 <-veth-> NEAR (this program) FAR <-veth-> far0

What netem of the kernel does (which not every kernel has): loss, duplication, reordering, corruption and delay of TCP
packets, each with its share, in both directions; everything else passes. Reordered packets wait for `late` seconds
beyond the delay. The seed makes the faults the same for the same sequence of packets. `faulty` builds the path.
"""

from __future__ import annotations

import heapq
import json
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from stages.net.packetsocket import PACKET_IGNORE_OUTGOING, SOL_PACKET
from tests.servers.veth import ANYIP, FAR, NEAR, Veth, _namespace

_ETH_P_ALL: Final = 3
_SIOCETHTOOL: Final = 0x8946
#: ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO (linux/ethtool.h).
_OFFLOADS: Final = (0x17, 0x1F, 0x24, 0x2C)
_BUFFER: Final = 8 << 20
_ETHERNET: Final = 14


def is_tcp(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00" and len(frame) > _ETHERNET + 20 and frame[_ETHERNET + 9] == 6


def forward(near: str, far: str, faults: dict[str, float]) -> None:
    """Until the end of the process."""
    sockets = []
    for name in (near, far):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind((name, 0))
        sock.setblocking(False)
        sockets.append(sock)
    chance = random.Random(int(faults.get("seed", 1)))
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    print("ready", flush=True)
    while True:
        patience = max(waiting[0][0] - time.monotonic(), 0.0) if waiting else None
        readable, _, _ = select.select(sockets, [], [], patience)
        now = time.monotonic()
        for sock in readable:
            to = 1 - sockets.index(sock)
            with suppress(BlockingIOError):
                for _ in range(256):
                    frame = sock.recv(65536)
                    for wait, out in fate(frame, faults, chance):
                        count += 1
                        heapq.heappush(waiting, (now + wait, count, to, out))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, frame = heapq.heappop(waiting)
            with suppress(OSError):
                sockets[to].send(frame)


def fate(frame: bytes, faults: dict[str, float], chance: random.Random) -> Iterator[tuple[float, bytes]]:
    """(seconds until it leaves, frame) for each time that it does."""
    if not is_tcp(frame):
        yield 0.0, frame
        return
    if chance.random() < faults.get("loss", 0.0):
        return
    copies = 2 if chance.random() < faults.get("duplicate", 0.0) else 1
    for _ in range(copies):
        out, wait = frame, faults.get("delay", 0.0)
        if chance.random() < faults.get("reorder", 0.0):
            wait += faults.get("late", 0.01)
        if chance.random() < faults.get("corrupt", 0.0):
            damaged = bytearray(frame)
            damaged[chance.randrange(_ETHERNET + 20, len(frame))] ^= 1 << chance.randrange(8)
            out = bytes(damaged)
        yield wait, out


def finish_packets_here(interface: str) -> None:
    """No offloads: packets leave with checksums, and no larger than the MTU. Raises OSError."""
    import array
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in _OFFLOADS:
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
            fcntl.ioctl(sock, _SIOCETHTOOL, request)


@dataclass
class Faulty(Veth):
    middle_pid: int = 0


@contextmanager
def faulty(**faults: float) -> Iterator[Faulty]:
    """As `veth`, with a third namespace between the two in which packets meet their fate; no faults: they only pass."""
    holders = [_namespace() for _ in range(3)]
    near, far, middle = (holder.pid for holder in holders)
    pair = Faulty(near, far, middle)
    try:
        for pid, mine, its, address in ((near, "near0", "to-near", NEAR), (far, "far0", "to-far", FAR)):
            pair.near(
                "nsenter", "-t", str(pid), "-n", "sh", "-ec",
                f"""
                ip link set lo up
                ip link add {mine} type veth peer name {its} netns {middle}
                ip addr add {address}/24 dev {mine}
                ip link set {mine} up
                nsenter -t {middle} -n ip link set {its} up
                {sys.executable} -m tests.servers.faults --finish {mine}
                """,
            )  # fmt: skip
        # The marker that the confinement guard looks for, in both.
        pair.near(
            "sh", "-ec",
            f"""
            ip link add longline-sim type veth peer name longline-sim netns {far}
            ip route add default via {FAR}
            """,
        )  # fmt: skip
        pair.far("sh", "-ec", f"ip route add local {ANYIP} dev lo; sysctl -qw net.ipv4.tcp_max_syn_backlog=65536")
        argv = (sys.executable, "-m", "tests.servers.faults", "to-near", "to-far", json.dumps(faults))
        with pair.program(middle, *argv, ready="ready"):
            yield pair
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()


def main() -> None:
    if sys.argv[1] == "--finish":
        finish_packets_here(sys.argv[2])
    else:
        forward(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))


if __name__ == "__main__":
    main()
