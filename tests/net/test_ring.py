from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q
from scapy.packet import Raw

from stages.net import ring
from stages.net.jit import kernel
from tests.servers.blocks import CSUMNOTREADY, block
from tests.servers.veth import veth
from tests.servers.wire import ether


@kernel
def parse(data: Any, ip: Any, end: Any) -> Any:
    return ring.ipv4(data, ip, end)


def walk(data: np.ndarray) -> tuple[int, list[list[int]]]:
    table = np.zeros((ring.MAX_PACKETS, ring.COLUMNS), np.int64)
    seen, rows = ring.packets(data, table)
    return seen, table[:rows].tolist()


IPV4 = bytes(ether() / IP(dst="10.0.0.1") / TCP())
TAGGED = bytes(ether() / Dot1Q(vlan=5) / IP(dst="10.0.0.2") / TCP())
STACKED = bytes(ether(type=0x88A8) / Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP(dst="10.0.0.3") / TCP())
OTHERS = [bytes(ether() / ARP()), bytes(ether() / IPv6()), IPV4[:13], IPV4[:33], b""]


def test_ipv4_packets_get_rows_and_the_rest_is_only_seen() -> None:
    data = block([IPV4, *OTHERS, TAGGED, STACKED], second=1_795_000_000, nanosecond=123_456_000)
    seen, rows = walk(data)
    assert seen == 8
    assert [data[ip : ip + 20].tobytes()[16:20] for ip, *_ in rows] == [bytes([10, 0, 0, n]) for n in (1, 2, 3)]
    assert [end - ip for ip, end, *_ in rows] == [40, 40, 40]
    assert [time for *_, time, _ in rows] == [1_795_000_000_123_456 + i for i in (0, 6, 7)]


@pytest.mark.parametrize(("status", "finished"), [(0, 1), (CSUMNOTREADY, 0)])
def test_unfinished_checksums_are_told(status: int, finished: int) -> None:
    assert walk(block([IPV4], status=status))[1][0][ring.FINISHED] == finished


def test_an_empty_block() -> None:
    assert walk(block([])) == (0, [])


def test_as_many_packets_as_the_block_holds() -> None:
    fits = (ring.BLOCK_BYTES - 48) // 144
    seen, rows = walk(block([IPV4] * fits))
    assert (seen, len(rows)) == (fits, fits)


def test_a_super_frame_of_64_kib() -> None:
    frame = bytes(ether() / IP(dst="10.0.0.1") / TCP() / Raw(bytes(65_000)))
    _, rows = walk(block([frame, IPV4]))
    assert [end - ip for ip, end, *_ in rows] == [65_040, 40]


def read(packet: bytes, captured: int | None = None) -> tuple[int, int, bool]:
    data = np.frombuffer(packet + bytes(64), np.uint8)
    layer4, end, here = parse(data, 0, len(packet) if captured is None else captured)
    return int(layer4), int(end), bool(here)


def test_an_ipv4_header() -> None:
    plain = bytes(IP(dst="10.0.0.1") / TCP())
    assert read(plain) == (20, 40, True)
    assert read(plain + bytes(6)) == (20, 40, True)  # Ethernet's padding is cut off
    assert read(plain, 30) == (20, 30, False)  # not all was captured
    assert read(bytes(IP(dst="10.0.0.1", options=b"\x01" * 8) / TCP())) == (28, 48, True)


def test_fragments() -> None:
    assert read(bytes(IP(dst="10.0.0.1", flags="MF") / TCP())) == (20, 40, False)
    assert read(bytes(IP(dst="10.0.0.1", frag=1) / TCP()))[0] == -1


@pytest.mark.parametrize("packet", [
    bytes(IP(version=6) / TCP()), bytes(IP(ihl=4) / TCP()), bytes(IP(ihl=15) / TCP()), bytes(IP(len=10) / TCP()),
    bytes(IP(chksum=1) / TCP()),
])  # fmt: skip
def test_what_is_no_header(packet: bytes) -> None:
    assert read(packet)[0] == -1


def test_what_is_shorter_than_a_header_is_not_read() -> None:
    for size in range(20):
        data = np.frombuffer(bytes(IP(dst="10.0.0.1"))[:size], np.uint8)
        assert ring.ipv4(data, 0, size) == (-1, size, False)


#: A block is handed over after some milliseconds, however little is in it: a reader that a busy machine keeps from its
#: turn needs more than a few to lose nothing.
_BLOCKS = 16

_RECEIVE = (
    f"""
BLOCKS = {_BLOCKS}
"""
    """
import json, sys, time
import numpy as np
from stages.net import bpf, ring
keep = [bpf.Op(bpf.LD_B, 23), bpf.Op(bpf.JEQ, 17, None, 'no'), bpf.Op(bpf.RET, 100), 'no', bpf.Op(bpf.RET)]
receiver = ring.Ring('near0', bpf.assemble(keep), blocks=BLOCKS)
print('ready', flush=True)
table = np.zeros((ring.MAX_PACKETS, ring.COLUMNS), np.int64)
ports, end = [], time.monotonic() + 20
while len(ports) < 100 and time.monotonic() < end:
    block = receiver.wait(50)
    if block is None:
        continue
    _, rows = ring.packets(block, table)
    ports += [int(block[ip + 22]) << 8 | int(block[ip + 23]) for ip in table[:rows, ring.IP]]
    del block
    receiver.release()
print('read', flush=True)
sys.stdin.readline()  # a burst comes while nobody reads
for _ in range(BLOCKS):
    assert receiver.wait(1000) is not None
    receiver.release()
drops = receiver.count_drops()
print(json.dumps({'ports': ports, 'drops': drops, 'silent': receiver.wait(1) is None}), flush=True)
receiver.close()
"""
)

_SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for i in range(int(sys.argv[1])):
        s.sendto(b'x' * 50, ('198.51.100.2', 1000 + i % 100))
"""


def test_a_real_ring_reads_filters_and_counts_drops() -> None:
    with (
        veth() as pair,
        pair.program(pair.near_pid, sys.executable, "-c", _RECEIVE, ready="ready", ask=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        pair.far(sys.executable, "-c", _SEND, "100")
        assert process.stdout.readline() == "read\n"
        burst = 40_000  # so many blocks of 256 KiB hold fewer
        pair.far(sys.executable, "-c", _SEND, str(burst))
        process.stdin.write("\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
    assert sorted(told["ports"]) == list(range(1000, 1100))
    assert 0 < told["drops"] < burst


def test_packets_without_a_link_header() -> None:
    packet = bytes(IP(dst="10.0.0.1") / TCP())
    seen, rows = walk(block([packet, packet[:19], bytes(IPv6())], header=0))
    assert seen == 3
    # The kernel gives IPv4 only to one who asks for it: the version is looked at where the header is read.
    assert [end - ip for ip, end, *_ in rows] == [40, 40]
    assert read(bytes(IPv6()))[0] == -1


_KINDS = """
import json, sys, time
import numpy as np
from stages.net import bpf, ring
keep = [bpf.Op(bpf.LD_H, 12), bpf.Op(bpf.JEQ, 0x800, None, 'no'), bpf.Op(bpf.LD_B, 23),
        bpf.Op(bpf.JEQ, 17, None, 'no'), bpf.Op(bpf.RET, 100), 'no', bpf.Op(bpf.RET)]
name, vlan, header, wanted = json.loads(sys.argv[1])
receiver = ring.Ring(name, bpf.assemble(keep), vlan=vlan, link_header=header)
print('ready', flush=True)
table = np.zeros((ring.MAX_PACKETS, ring.COLUMNS), np.int64)
ports, end = [], time.monotonic() + 20
while len(ports) < wanted and time.monotonic() < end:
    block = receiver.wait(50)
    if block is None:
        continue
    _, rows = ring.packets(block, table)
    ports += [int(block[ip + 22]) << 8 | int(block[ip + 23]) for ip in table[:rows, ring.IP]]
    del block
    receiver.release()
sys.stdin.readline()  # whatever else would have come is here by now
block = receiver.wait(20)
if block is not None:
    _, rows = ring.packets(block, table)
    ports += [int(block[ip + 22]) << 8 | int(block[ip + 23]) for ip in table[:rows, ring.IP]]
    del block
print(json.dumps(ports))
receiver.close()
"""

_TAGGED = """
import socket, struct, sys
from scapy.layers.l2 import Dot1Q
from scapy.layers.inet import IP, UDP
from tests.servers.wire import ether
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
    s.bind(('far0', 0))
    mac = sys.argv[1]
    for port, tag in ((1, None), (2, 5), (3, 6), (4, 0), (5, 5), (6, None), (7, 0)):
        frame = ether(dst=mac) / IP(dst='198.51.100.2') / UDP(dport=port)
        if tag is not None:
            frame = ether(dst=mac) / Dot1Q(vlan=tag) / IP(dst='198.51.100.2') / UDP(dport=port)
        s.send(bytes(frame))
"""


@pytest.mark.parametrize(("vlan", "ports"), [(5, [2, 5]), (6, [3]), (0, [1, 4, 6, 7])])
def test_answers_with_our_tag_and_no_others(vlan: int, ports: list[int]) -> None:
    with veth() as pair:
        asked = json.dumps(["near0", vlan, True, len(ports)])
        argv = (sys.executable, "-c", _KINDS, asked)
        with pair.program(pair.near_pid, *argv, ready="ready", ask=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            mac = json.loads(pair.near("ip", "-j", "link", "show", "near0").stdout)[0]["address"]
            pair.far(sys.executable, "-c", _TAGGED, mac)
            process.stdin.write("\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == ports


def test_a_tunnel_is_read_through_the_same_filter() -> None:
    with (
        veth() as pair,
        pair.program(pair.near_pid, sys.executable, "-m", "tests.servers.tunnel", str(pair.far_pid), ready="ready"),
    ):
        pair.near("ip", "addr", "add", "192.0.2.1/24", "dev", "tun0")
        pair.far("ip", "addr", "add", "192.0.2.2/24", "dev", "tun1")
        argv = (sys.executable, "-c", _KINDS, json.dumps(["tun0", None, False, 100]))
        with pair.program(pair.near_pid, *argv, ready="ready", ask=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            pair.far(sys.executable, "-c", _SEND.replace("198.51.100.2", "192.0.2.1"), "100")
            process.stdin.write("\n")
            process.stdin.flush()
            assert sorted(json.loads(process.stdout.readline())) == list(range(1000, 1100))
