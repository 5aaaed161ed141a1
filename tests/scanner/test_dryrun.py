from __future__ import annotations

import re
import socket
import struct
import sys

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet import TCP as TCPLayer
from scapy.layers.inet import UDP as UDPLayer
from scapy.layers.l2 import Ether

from stages.core.errors import MissingCapability, UsageError
from stages.scanner import dryrun, probes
from stages.scanner.dryrun import RULE, describe, describe_connect, dry_run, fast_dry_run
from stages.scanner.prepare import Prepared
from tests.servers.preparing import prepared

TCP = re.compile(
    r"tcp \{ source: (\d+) \| dest: (\d+) \| seq: (\d+) \| checksum: 0X[0-9A-F]+ \}\n"
    r"ip \{ saddr: ([\d.]+) \| daddr: ([\d.]+) \| checksum: 0X[0-9A-F]+ \}\n"
    r"eth \{ shost: ([\w:]+) \| dhost: ([\w:]+) \}\n-{54}\n"
)


def printed(scan: Prepared) -> tuple[str, int]:
    texts: list[str] = []
    count = dry_run(scan, texts.append)
    return "".join(texts), count


def test_zmaps_form() -> None:
    frame = bytes.fromhex(
        "020000000001020000000002080045000034d431000040069d68c00002020a0903d1"
        "d8870050" "4acd5bd0" "00000000" "8002faf0" "db0d" "0000" "020405b40103030801010402"
    )  # fmt: skip
    assert describe(frame) == (
        "tcp { source: 55431 | dest: 80 | seq: 1254972368 | checksum: 0XDB0D }\n"
        "ip { saddr: 192.0.2.2 | daddr: 10.9.3.209 | checksum: 0X9D68 }\n"
        "eth { shost: 02:00:00:00:00:02 | dhost: 02:00:00:00:00:01 }\n" + "-" * 54 + "\n"
    )


def test_an_echo_request_and_a_checksum_of_zero() -> None:
    header = "4500001c0000000040010000c00002020a000001"
    frame = bytes(12) + bytes.fromhex("0800" + header + "08006229eb46aa8f")
    assert describe(frame).splitlines()[:2] == [
        "icmp { type: 8 | code: 0 | checksum: 0X6229 | id: 60230 | seq: 43663 }",
        "ip { saddr: 192.0.2.2 | daddr: 10.0.0.1 | checksum: 0000 }",
    ]


@pytest.mark.parametrize("frame", [b"", bytes(60), bytes(12) + b"\x08\x00\x45" + bytes(60)])
def test_something_else_is_an_error(frame: bytes) -> None:
    with pytest.raises(ValueError):
        describe(frame)


def test_every_packet_of_the_scan_once() -> None:
    scan = prepared(
        "10.0.0.0/25", target_ports="80,443", probes=2, source_ip="192.0.2.2", source_mac="02:00:00:00:00:02",
        gateway_mac="02:00:00:00:00:01", source_port="40000-40009",
    )  # fmt: skip
    text, count = printed(scan)
    packets = TCP.findall(text)
    assert TCP.sub("", text) == ""
    assert len(packets) == count == 512
    assert {(address, int(port)) for _, port, _, _, address, _, _ in packets} == {
        (f"10.0.0.{i}", port) for i in range(128) for port in (80, 443)
    }
    assert all(40000 <= int(source) <= 40009 for source, *_ in packets)
    assert {packet[5:] for packet in packets} == {("02:00:00:00:00:02", "02:00:00:00:00:01")}
    assert printed(scan) == (text, count)  # the same seed and secret


def test_so_many_targets_and_from_a_position() -> None:
    scan = prepared("10.0.0.0/8", max_targets="3", source_ip="192.0.2.2")
    whole, _ = printed(scan)
    assert len(TCP.findall(whole)) == 3
    rest, _ = printed(prepared("10.0.0.0/8", max_targets="3", source_ip="192.0.2.2", held=scan.checkpoint.at(1)))
    assert rest == RULE.join(whole.split(RULE)[1:]).lstrip("\n")


def test_the_source_address_is_found_without_sending() -> None:
    text, _ = printed(prepared("127.0.0.1"))
    assert TCP.findall(text)[0][3] == "127.0.0.1"


def test_scapy_shows_everything() -> None:
    text, count = printed(prepared("10.0.0.1", source_ip="192.0.2.2", verbosity=5))
    assert count == 1
    assert "###[ Ethernet ]###" in text


def test_a_tagged_frame() -> None:
    frame = bytes(12) + bytes.fromhex("8100e00708004500001c0000000040010000c00002020a00000108006229eb46aa8f")
    assert describe(frame) == describe(frame[:12] + frame[16:]).replace(" }\n---", " | vlan: 7 }\n---")
    for cut in (14, 16, 18, 37):
        with pytest.raises(ValueError):
            describe(frame[:cut])


@pytest.mark.parametrize("module", ["tcp_synscan", "udp", "icmp_echoscan"])
def test_the_tag_is_shown(module: str) -> None:
    ports = "53,5060" if probes.entry(module).ports else None
    fields: dict[str, object] = {"probe_module": module, "target_ports": ports, "source_ip": "192.0.2.2", "probes": 2}
    plain, count = printed(prepared("10.0.0.0/30", **fields))
    for vlan in (0, 7, 4094):
        assert printed(prepared("10.0.0.0/30", vlan=vlan, **fields)) == (
            plain.replace("dhost: 00:00:00:00:00:00 }", f"dhost: 00:00:00:00:00:00 | vlan: {vlan} }}"), count,
        )  # fmt: skip
    shown, _ = printed(prepared("10.0.0.0/30", vlan=7, verbosity=5, **fields))
    assert shown.count("###[ 802.1Q ]###") == shown.count("vlan      = 7") == count


def test_icmp() -> None:
    text, count = printed(prepared("10.0.0.1", probe_module="icmp_echoscan", target_ports=None, source_ip="192.0.2.2"))
    assert count == 1
    assert text.startswith("icmp { type: 8 | code: 0 | ")


UDP = re.compile(
    r"udp \{ source: (\d+) \| dest: (\d+) \| checksum: 0X[0-9A-F]+ \}\n"
    r"ip \{ saddr: ([\d.]+) \| daddr: ([\d.]+) \| checksum: 0X[0-9A-F]+ \}\n"
    r"eth \{ shost: ([\w:]+) \| dhost: ([\w:]+) \}\n-{54}\n"
)


@pytest.mark.parametrize(
    ("module", "args"), [("udp", None), ("udp", "text:ST"), ("dns", "A,example.com"), ("ntp", None)]
)
def test_udp(module: str, args: str | None) -> None:
    text, count = printed(
        prepared("10.0.0.0/30", probe_module=module, probe_args=args, target_ports="53,123", source_ip="192.0.2.2")
    )
    packets = UDP.findall(text)
    assert UDP.sub("", text) == ""
    assert len(packets) == count == 8
    assert {(target, port) for _, port, _, target, _, _ in packets} == {
        (f"10.0.0.{i}", port) for i in range(4) for port in ("53", "123")
    }


@pytest.mark.parametrize("module", probes.NAMES)
def test_scapy_agrees_with_every_module(module: str) -> None:
    """`-v 5`: lengths and checksums of what is shown are right, the TTL is --probe-ttl."""
    ports = "80,5060" if probes.entry(module).ports else None
    scan = prepared(
        "10.0.0.0/29", probe_module=module, target_ports=ports, source_ip="192.0.2.2", probe_ttl=77, probes=2,
        verbosity=5,
    )  # fmt: skip
    text, count = printed(scan)
    assert count == (32 if ports else 16)
    assert text.count("###[ Ethernet ]###") == count
    assert text.count("ttl       = 77") == count
    for part in scan.slices:
        for builder, rows in dryrun.frames_of(scan, part, 64):
            for row in range(rows):
                frame = builder.frame(row)
                again = Ether(frame)
                for layer in (IP, TCPLayer, UDPLayer, ICMP):
                    if layer in again:
                        again[layer].chksum = None
                again[IP].len = None
                assert bytes(again) == frame


def test_binary() -> None:
    scan = prepared("10.0.0.0/25", "10.0.1.1", target_ports="80,443", probes=2, source_ip="192.0.2.2")
    pieces: list[bytes] = []
    assert fast_dry_run(scan, pieces.append) == 129 * 2 * 2
    records = list(struct.iter_unpack("!4sH", b"".join(pieces)))
    shown = TCP.findall(printed(scan)[0])
    assert [(socket.inet_ntoa(ip), port) for ip, port in records] == [
        (address, int(port)) for _, port, _, _, address, _, _ in shown
    ]
    pieces.clear()
    scan = prepared("10.0.0.1", probe_module="icmp_echoscan", target_ports=None, source_ip="192.0.2.2")
    assert fast_dry_run(scan, pieces.append) == 1
    assert pieces == [bytes([10, 0, 0, 1, 0, 0])]
    with pytest.raises(UsageError, match=r"--fast-dryrun: .* IPv4 only"):
        fast_dry_run(prepared("fd00::1"), pieces.append)


def test_connections() -> None:
    text, count = printed(prepared("10.0.0.0/30", "fd00::1", engine="connect"))
    assert count == 5
    assert sorted(text.split(RULE + "\n"))[1:] == sorted(
        [f"connect {{ daddr: 10.0.0.{i} | dest: 80 }}\n" for i in range(4)]
        + ["connect { daddr: fd00::1 | dest: 80 }\n"]
    )
    assert describe_connect("::1", 0).startswith("connect { daddr: ::1 | dest: 0 }\n")


def test_what_has_no_form() -> None:
    with pytest.raises(UsageError, match="--probe-args"):
        printed(prepared("10.0.0.1", probe_args="plan9"))


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stages.scanner.packets", None)
    with pytest.raises(MissingCapability, match="try --engine connect"):
        printed(prepared("10.0.0.1"))
