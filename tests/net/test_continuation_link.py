"""What the ring of a continuation is given, and the ways its frames leave."""

from __future__ import annotations

import sys

import pytest

from stages.net.continuation_link import Link, Outlet, packet_filter
from tests.servers.bpf import run
from tests.servers.tcp_table import ACK, OURS, RST, Segment, ip_packet
from tests.servers.veth import veth

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)

ETHER = bytes(12) + b"\x08\x00"


@pytest.mark.parametrize(
    ("packet", "kept"),
    [
        (Segment(dport=40_000).packet(), True),
        (Segment(dport=40_009, flags=RST).packet(), True),
        (Segment(dport=40_005, flags=ACK, data=bytes(9000)).packet(), True),
        (Segment(dport=39_999).packet(), False),
        (Segment(dport=40_010).packet(), False),
        (ip_packet(1, OURS, 1, b"\x03\x04" + bytes(40)), True),
        (ip_packet(1, OURS, 1, b"\x08\x00" + bytes(40)), False),
        (ip_packet(1, OURS, 17, bytes(40)), False),
    ],
)
def test_all_tcp_to_our_ports_and_icmp_errors(packet: bytes, kept: bool) -> None:
    frame = ETHER + packet
    assert run(packet_filter((40_000, 40_009)), frame) == (len(frame) if kept else 0)


def test_raw_ip_has_no_tags() -> None:
    with pytest.raises(OSError, match="VLAN"):
        Outlet(Link("near0", vlan=7))


_SEND = """
import sys
from stages.net.continuation_link import Link, Outlet
from tests.servers.tcp_table import Segment
kind, mac, vlan = sys.argv[1:]
link = Link("near0", bytes.fromhex("020000000009"), bytes.fromhex(mac) or None, int(vlan) if vlan else None)
outlet = Outlet(link, kind)
for turn in range(3):
    for i in range(20):
        packet = Segment(0xC6336402, 0xC6336401, 40000, 80, turn * 20 + i, data=bytes(i * 70)).packet()
        outlet.frames[i, outlet.ip_at : outlet.ip_at + len(packet)] = list(packet)
        outlet.lengths[i] = outlet.ip_at + len(packet)
    outlet.send(20)
while not outlet.wire.drain():
    pass
assert outlet.sent == 60
outlet.close()
"""

_CAPTURE = """
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)
    sock.setsockopt(263, 8, 1)
    sock.bind(("far0", 3))
    sock.settimeout(60)
    print("ready", flush=True)
    seen = 0
    while seen < 60:
        frame, _, _, address = sock.recvmsg(2000, 100)
        if address[2] != socket.PACKET_OUTGOING and frame[12:14] == b"\\x08\\x00" and frame[23] == 6:
            print(int.from_bytes(frame[38:42], "big"), len(frame), frame[:12].hex(), flush=True)
            seen += 1
"""


@pytest.mark.parametrize(
    ("kind", "mac", "vlan"),
    [("packet", "0200000000aa", ""), ("packet", "0200000000aa", "7"), ("packet", "", ""), ("xdp", "0200000000aa", "")],
)
def test_frames_leave_as_they_are(kind: str, mac: str, vlan: str) -> None:
    with veth() as pair, pair.program(pair.far_pid, sys.executable, "-c", _CAPTURE, ready="ready") as process:
        assert process.stdout is not None
        pair.near(sys.executable, "-c", _SEND, kind, mac, vlan)
        lines = [process.stdout.readline().split() for _ in range(60)]
    assert [int(line[0]) for line in lines] == list(range(60))
    assert [int(line[1]) for line in lines] == [54 + i % 20 * 70 for i in range(60)]
    if mac:
        assert {line[2] for line in lines} == {mac + "020000000009"}
