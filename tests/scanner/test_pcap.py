from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.utils import rdpcap

from stages.net.packetsocket import Frames
from stages.scanner.pcap import RAW, Pcap, Recorded
from tests.servers.blocks import block
from tests.servers.veth import NEAR, Veth, veth
from tests.servers.wire import ether

TARGETS = 300


def packets(count: int) -> list[bytes]:
    return [bytes(ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=i) / (b"x" * i)) for i in range(count)]


def test_a_block_becomes_records(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    pcap = Pcap.open(str(file))
    pcap.begin()
    sent = packets(100)
    pcap.block(block(sent, second=1_700_000_000, nanosecond=123_456_789))
    pcap.block(block(sent[:3], snap=40, second=1_700_000_001))
    pcap.close()
    pcap.close()
    read = rdpcap(str(file))
    assert [bytes(packet) for packet in read[:100]] == sent
    assert read[1].time == pytest.approx(1_700_000_000.123457789, abs=1e-9)
    assert [(len(bytes(packet)), packet.wirelen) for packet in read[100:]] == [(40, 42), (40, 43), (40, 44)]
    assert file.read_bytes()[:4] == bytes.fromhex("4d3cb2a1")


@pytest.mark.parametrize("beside", [False, True])
def test_a_function_gets_the_same(tmp_path: Path, beside: bool) -> None:
    file, got = tmp_path / "a.pcap", []
    pcap = Pcap.of(str(file) if beside else None, got.append)
    assert pcap is not None
    pcap.begin()
    pcap.block(block(packets(3)))
    pcap.block(block(packets(2)))
    pcap.close()
    assert len(got) == 3  # the header, and each block
    whole = b"".join(got)
    assert file.exists() == beside
    if beside:
        assert file.read_bytes() == whole
    file.write_bytes(whole)
    assert [bytes(packet) for packet in rdpcap(str(file))] == packets(3) + packets(2)


def test_nobody_asks() -> None:
    assert Pcap.of(None, None) is None


class Wire:
    """Takes three rows at a time of the second block."""

    refused = 7

    def __init__(self) -> None:
        self.closed = False

    def free(self) -> int:
        return 1

    def send(self, first: int, count: int) -> tuple[int, int]:
        return min(count, 3), 0

    def drain(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("varying", [False, True])
def test_what_leaves_is_written_down(varying: bool) -> None:
    memory = np.arange(2 * 8 * 64, dtype=np.uint32).astype(np.uint8).reshape(2, 8, 64)
    lengths = np.arange(40, 48) if varying else None
    rows = Frames(memory, 60, offset=14, lengths=lengths)
    out = io.BytesIO()
    pcap = Pcap(out)
    pcap.begin(RAW)
    wire = Recorded(Wire(), rows, pcap)
    assert wire.free() == 1
    assert (wire.send(0, 8), wire.send(3, 2)) == ((3, 0), (2, 0))
    written = out.getvalue()
    assert int.from_bytes(written[20:24], "little") == 101
    at, found = 24, []
    while at < len(written):
        size = int.from_bytes(written[at + 8 : at + 12], "little")
        found.append(written[at + 16 : at + 16 + size])
        at += 16 + size
    ends = [40 + i if varying else 60 for i in range(5)]
    assert found == [memory[1, i, 14:end].tobytes() for i, end in enumerate(ends)]
    assert (wire.refused, wire.drain()) == (7, True)
    wire.close()


@pytest.fixture(scope="module")
def pair() -> object:
    with (
        veth() as made,
        made.program(made.far_pid, sys.executable, "-m", "tests.servers.listener", "80", ready="ready"),
    ):
        yield made


@pytest.mark.parametrize("more", [(), ("--pcap-sent",), ("--receive-threads", "2", "--pcap-sent")])
def test_a_scan_leaves_a_file_that_others_read(pair: Veth, tmp_path: Path, more: tuple[str, ...]) -> None:
    file = tmp_path / "scan.pcap"
    words = ("-p", "80,81", "-c", "0.5", "-q", "-n", str(TARGETS), "-r", "5000", "--pcap", str(file), "-o", "/dev/null")
    pair.near(sys.executable, "-m", "tests.servers.run_scan", *words, *more, "10.0.0.0/16")
    read = rdpcap(str(file))
    answers = [packet for packet in read if packet[IP].dst == NEAR]
    probes = [packet for packet in read if packet[IP].src == NEAR]
    assert len(answers) == TARGETS
    assert {str(packet[TCP].flags) for packet in answers} == {"SA", "RA"}
    assert len(probes) == (TARGETS if "--pcap-sent" in more else 0)
    assert {str(packet[TCP].flags) for packet in probes} <= {"S"}
    asked = {(packet[IP].dst, packet[TCP].dport, packet[TCP].sport) for packet in probes}
    if probes:
        assert asked == {(packet[IP].src, packet[TCP].sport, packet[TCP].dport) for packet in answers}
    if tcpdump := shutil.which("tcpdump", path="/usr/sbin:/usr/bin"):
        said = subprocess.run([tcpdump, "-nr", str(file)], capture_output=True, text=True, check=True).stdout
        assert len(said.splitlines()) == len(read)


def test_a_file_that_cannot_be_written_is_refused(pair: Veth) -> None:
    argv = (sys.executable, "-m", "tests.servers.run_scan", "-p", "80", "-q", "-c", "0")
    done = pair.near(*argv, "--pcap", "/nowhere/a.pcap", "10.0.0.0/30", check=False)
    assert done.returncode == 2
    assert "--pcap" in done.stderr
    assert "/nowhere/a.pcap" in done.stderr
    for words, told in ((("--pcap-sent",), "needs --pcap"), (("--pcap", "x", "--engine", "connect"), "needs packets")):
        done = pair.near(*argv, *words, "10.0.0.0/30", check=False)
        assert (done.returncode, told in done.stderr) == (2, True)
