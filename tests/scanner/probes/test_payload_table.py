"""Payloads out of nmap-payloads files and captures."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from stages.scanner.probes import udp
from stages.scanner.probes.payload_table import read
from tests.fuzzing import fuzz, inputs

#: Inputs of the fuzz, read before the tests take LONGLINE_... out of the environment.
COUNT = inputs()

FRAME = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
LISTED = rb"""# what is asked of whom
udp 7 "\x0D\x0A\r\n"
udp 53,5353-5354   # names
  "\x00\x00\x10\x00"
  "\0\12\"\\q" source 53
udp 7 "a second one"
udp 500
  "ike"
  source 500
"""


def test_a_list() -> None:
    names = b'\x00\x00\x10\x00\x00\n"\\q'
    assert read(LISTED) == {7: b"\r\n\r\n", 53: names, 5353: names, 5354: names, 500: b"ike"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "no payload"),
        (b"# nothing\n", "no payload"),
        (b'tcp 80 "x"', "line 1: 'tcp' where `udp` is to stand"),
        (b'udp 7 "x"\nudp "y"', "line 2: ports: "),
        (b'udp 7,70000 "x"', "line 1: ports: '70000' is above"),
        (b"udp 7\nudp 8", "line 1: no payload"),
        (b'udp 7 "x\ny"', "line 1: a string without its end"),
        (b'\n\nudp 7 "\\q"', r"line 3: no escape \\q"),
        (b'udp 7 "\\x0"', r"line 1: no escape \\x"),
        (b'udp 7 "x" source', "line 1: the end of the file where a source port"),
        (b'udp 7 "x" "y" z', "line 1: 'z' where `udp`"),
        (bytes.fromhex("0a0d0d0a") + bytes(40), "pcapng"),
        (bytes.fromhex("d4c3b2a1"), "ends in its header"),
        (bytes.fromhex("a1b2c3d4") + bytes(16) + b"\0\0\0\x69", "link type 105"),
        (bytes.fromhex("a1b2c3d4") + bytes(16) + b"\0\0\0\x01" + bytes(9), "byte 24: .*the header of a packet"),
        (bytes.fromhex("a1b2c3d4") + bytes(16) + b"\0\0\0\x01" + bytes(8) + b"\0\0\0\x09" * 2, "byte 40: .*inside"),
    ],
)
def test_what_is_wrong_is_named(text: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read(text)


@given(st.dictionaries(st.integers(0, 65535), st.binary(min_size=1, max_size=60), min_size=1, max_size=5))
def test_any_bytes_come_back(table: dict[int, bytes]) -> None:
    lines = [f'udp {port} "{"".join(f"{chr(92)}x{byte:02x}" for byte in data)}"\n' for port, data in table.items()]
    assert read("".join(lines).encode()) == table


def said(port: int, data: bytes) -> Packet:
    return UDP(sport=1, dport=port) / Raw(data)


@pytest.mark.parametrize("ethernet", [True, False])
@pytest.mark.parametrize("order", ["little", "big"])
def test_a_capture(tmp_path: Path, ethernet: bool, order: str) -> None:
    packets = [
        IP(dst="10.0.0.1", options=b"\1" * 4) / said(53, b"first"),
        IP(dst="10.0.0.2") / said(53, b"second"),
        IPv6(dst="2001:db8::1") / said(161, b"\0\1"),
        IP(dst="10.0.0.1") / TCP(dport=80) / Raw(b"no"),
        IP(dst="10.0.0.1") / UDP(dport=9),
        IP(dst="10.0.0.1", frag=9) / said(10, b"a fragment"),
        IP(dst="10.0.0.1", flags="MF") / said(11, b"another"),
    ]
    if ethernet:
        packets = [FRAME / packet for packet in packets]
        packets.append(FRAME / Dot1Q(vlan=5) / IP(dst="10.0.0.1") / said(123, b"tagged"))
    file = tmp_path / "capture"
    wrpcap(str(file), packets, linktype=1 if ethernet else 101, endianness={"little": "<", "big": ">"}[order])
    wanted = {53: b"first", 161: b"\0\1"} | ({123: b"tagged"} if ethernet else {})
    assert read(file.read_bytes()) == wanted


def test_before_those_of_our_own(tmp_path: Path) -> None:
    file = tmp_path / "nmap-payloads"
    file.write_bytes(LISTED)
    usual, told = udp.payloads_of("payloads"), udp.payloads_of(f"payloads:{file}")
    assert told.others == usual.others
    assert told.ports[53][0].template.constant == read(LISTED)[53]
    assert told.ports[123] == usual.ports[123]


def test_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bad"
    file.write_text("tcp 1")
    with pytest.raises(ValueError, match=f"^{file}: line 1: "):
        udp.module(f"payloads:{file}")
    with pytest.raises(FileNotFoundError):
        udp.module("payloads:/nowhere")


@fuzz
def test_damage_is_told_and_nothing_else(tmp_path: Path) -> None:
    draw = random.Random(13)
    file = tmp_path / "capture"
    wrpcap(str(file), [FRAME / IP(dst="10.0.0.1") / said(n, b"x" * n) for n in range(1, 20)])
    whole = (LISTED, file.read_bytes())
    good = 0
    for turn in range(COUNT):
        data = bytearray(whole[turn % 2])
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(data))
            data[at : at + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        try:
            table = read(bytes(data))
        except ValueError:
            continue
        good += 1
        assert all(0 <= port <= 65535 and len(payload) <= len(data) for port, payload in table.items())
    assert good > COUNT // 50
