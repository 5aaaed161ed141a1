"""Half-open connections are ended: by the kernel where it may, by us where a rule keeps it from it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from stages.net import confine
from stages.net.checksum import word_sum
from stages.scanner import probes
from stages.scanner.answers import ANSWER, RST, SYNACK
from stages.scanner.resets import (
    MAX_WAITING,
    Resets,
    fill,
    is_syn,
    reset_of,
    resets_of,
    template,
)  # fmt: skip
from tests.require import require
from tests.servers.veth import FAR, Veth, veth
from tests.servers.wire import ether

OURS, THEIRS = 0xC6336402, 0x0A000001
SOURCE_MAC, GATEWAY_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
TARGETS = 512
#: What a careful host has: nothing comes in that was not asked for, as far as the kernel knows.
STATEFUL = """
add table inet guard
add chain inet guard input { type filter hook input priority 0; policy drop; }
add rule inet guard input ct state established,related accept
add rule inet guard input iifname "lo" accept
"""
#: Without connection tracking: no answer to our source ports.
STATELESS = """
add table inet guard
add chain inet guard input { type filter hook input priority 0; }
add rule inet guard input tcp dport 32768-61000 drop
"""


def answers(*kinds: int) -> np.ndarray:
    out = np.zeros(len(kinds), ANSWER)
    out["kind"] = kinds
    out["saddr"], out["daddr"] = THEIRS + np.arange(len(kinds)), OURS
    out["sport"], out["dport"], out["ack"], out["seq"] = 80, 40_000 + np.arange(len(kinds)), 0xFFFF0001, 77
    return out


def test_a_rst_is_what_the_kernel_would_send() -> None:
    row = template(SOURCE_MAC, GATEWAY_MAC, 61)
    frames = np.tile(np.frombuffer(row, np.uint8), (4, 1))
    chosen = resets_of(answers(SYNACK, RST, SYNACK))
    assert chosen["target"].tolist() == [THEIRS, THEIRS + 2]
    fill(frames, chosen, np.uint64(word_sum(row[14:34])), np.uint64(word_sum(row[34:]) + 6 + 20))
    for number, place in ((0, 0), (1, 2)):
        frame = Ether(frames[number].tobytes())
        again = frame.copy()
        del again[IP].chksum
        del again[TCP].chksum
        assert bytes(Ether(bytes(again))) == bytes(frame)
        assert (frame.src, frame.dst) == (SOURCE_MAC.hex(":"), GATEWAY_MAC.hex(":"))
        assert (frame[IP].src, frame[IP].dst, frame[IP].ttl) == ("198.51.100.2", f"10.0.0.{1 + place}", 61)
        tcp = frame[TCP]
        assert (tcp.sport, tcp.dport, tcp.seq, tcp.flags, tcp.window) == (40_000 + place, 80, 0xFFFF0001, "R", 0)
        assert reset_of(bytes(frame)) == chosen[number].item()
    assert bytes(frames[2]) == row  # nothing more was asked for


def test_a_frame_that_is_too_short_resets_nothing() -> None:
    assert reset_of(b"") is None
    assert reset_of(template(SOURCE_MAC, GATEWAY_MAC, 64)[:40]) is None


def test_only_a_syn_has_something_to_end() -> None:
    assert is_syn(probes.get("tcp_synscan").template)
    assert not is_syn(probes.get("icmp_echoscan").template)
    assert not is_syn(bytes(ether() / IP(src="192.0.2.1", dst="192.0.2.2") / TCP(flags="SA")))


def test_no_room_is_counted() -> None:
    with veth() as pair:
        told = pair.near(sys.executable, "-c", _FULL).stdout
    assert json.loads(told) == {"left_out": 10, "waiting": MAX_WAITING, "sent": 0}


_FULL = """
import json
import numpy as np
from stages.scanner.answers import ANSWER, SYNACK
from stages.scanner.resets import MAX_WAITING, Resets
resets = Resets("always", "near0", source_mac=bytes(6), gateway_mac=bytes(6), source_ports=(1, 2))
rows = np.zeros(MAX_WAITING, ANSWER)
rows["kind"] = SYNACK
resets.put(rows)
resets.put(rows[:10])
print(json.dumps({"left_out": resets.left_out, "waiting": resets._count, "sent": resets.sent}))
resets.close()
resets.close()
"""


_SEND = """
import sys
import numpy as np
from stages.scanner.answers import ANSWER, SYNACK
from stages.scanner.resets import BATCH, Resets
gateway = bytes.fromhex(sys.argv[1]) or None
vlan = int(sys.argv[2]) if sys.argv[2] else None
resets = Resets("always", "near0", source_mac=bytes.fromhex("020000000009"), gateway_mac=gateway, source_ports=(1, 2),
                vlan=vlan)
rows = np.zeros(BATCH + 2, ANSWER)
rows["kind"], rows["saddr"], rows["daddr"], rows["sport"], rows["dport"] = SYNACK, 0xC6336401, 0xC6336402, 80, 40000
rows["ack"] = np.arange(len(rows))
resets.start()
resets.put(rows)
resets.close(10)
assert (resets.sent, resets.left_out, resets.error) == (len(rows), 0, None)
"""

_CAPTURE = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE
    sock.setsockopt(263, 8, 1)  # PACKET_AUXDATA: the tag is there
    sock.bind(("far0", 3))
    sock.settimeout(20)
    print("ready", flush=True)
    seen = 0
    while seen < 514:
        frame, ancillary, _, address = sock.recvmsg(200, 100)
        if address[2] != socket.PACKET_OUTGOING and frame[12:14] == b"\\x08\\x00" and frame[23] == 6:
            tag = int.from_bytes(ancillary[0][2][16:18], sys.byteorder) if ancillary else 0
            print(frame[:54].hex(), tag, flush=True)
            seen += 1
"""


@pytest.mark.parametrize(("gateway", "vlan"), [("0200000000aa", ""), ("0200000000aa", "7"), ("", "")])
def test_resets_leave_with_the_tag_or_by_the_kernels_own_way(gateway: str, vlan: str) -> None:
    """By frames to the gateway, by tagged ones, and by raw IP sockets for targets that are on the link."""
    with (
        veth() as pair,
        pair.program(pair.far_pid, sys.executable, "-c", _CAPTURE, ready="ready") as process,
    ):
        assert process.stdout is not None
        pair.near(sys.executable, "-c", _SEND, gateway, vlan)
        lines = [process.stdout.readline().split() for _ in range(514)]
    frames = [Ether(bytes.fromhex(frame)) for frame, _ in lines]
    assert [frame[TCP].seq for frame in frames] == list(range(514))
    assert {tag for _, tag in lines} == {vlan or "0"}
    assert all(frame[TCP].flags == "R" and frame[IP].dst == FAR for frame in frames)
    if gateway:
        assert {frame.dst for frame in frames} == {"02:00:00:00:00:aa"}
    else:  # the far end's own, which the kernel asked for
        assert len({frame.dst for frame in frames}) == 1
        assert "02:00:00:00:00:aa" not in {frame.dst for frame in frames}


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft") and shutil.which("ss"), "needs nftables and iproute2")
    with veth() as made:
        made.far("sysctl", "-qw", "net.ipv4.tcp_synack_retries=6")  # nobody gives up by itself meanwhile
        with made.program(made.far_pid, sys.executable, "-m", "tests.servers.listener", "80", ready="ready"):
            yield made


@pytest.fixture
def rule(pair: Veth, request: pytest.FixtureRequest) -> Iterator[str]:
    rules = request.param
    if rules:
        pair.near("nft", "-f", "-", input=rules)
    yield rules
    pair.near("nft", "flush", "ruleset")


def half_open(pair: Veth) -> int:
    """Connections that the far side holds for a SYN that was answered and neither continued nor reset."""
    return len(pair.far("ss", "-H", "-n", "-t", "state", "syn-recv").stdout.splitlines())


def scan(pair: Veth, mode: str, base: int, count: int = TARGETS, **plan: object) -> dict[str, Any]:
    asked = {
        "ranges": [[base, base + count - 1]], "ports": [80], "seed": 3,
        "plan": {"rate": 20_000, "cooldown": 0.3, "send_rst": mode, **plan},
    }  # fmt: skip
    told: dict[str, Any] = json.loads(
        pair.near(sys.executable, "-m", "tests.servers.scan_once", input=json.dumps(asked)).stdout
    )
    return told


@pytest.mark.parametrize(
    ("rule", "mode", "who"),
    [
        ("", "auto", "kernel"), ("", "never", None), ("", "always", "us"),
        (STATEFUL, "auto", "us"), (STATEFUL, "always", "us"), (STATELESS, "auto", "us"),
    ],
    indirect=["rule"],
    ids=lambda value: str(value) if len(str(value)) < 10 else "stateful" if "ct" in value else "stateless",
)  # fmt: skip
def test_no_half_open_connection_is_left(pair: Veth, rule: str, mode: str, who: str | None) -> None:
    base = (10 << 24) + (crc32((rule + mode).encode()) % 200 << 16)
    told = scan(pair, mode, base)
    assert len([a for a in told["answers"] if a["kind"] == SYNACK and not a["repeat"]]) == TARGETS
    assert half_open(pair) == 0
    if who is None:
        assert told["resets"] is None
    else:
        assert told["resets"][0] == who
        assert (told["resets"][1] >= TARGETS) == (who == "us")


@pytest.mark.parametrize("rule", [STATEFUL], indirect=True, ids=["stateful"])
def test_where_nobody_resets_they_stay(pair: Veth, rule: str) -> None:
    """So the test above can fail."""
    told = scan(pair, "never", (10 << 24) + (222 << 16))
    assert len({a["address"] for a in told["answers"]}) == TARGETS
    assert half_open(pair) == TARGETS
    # And a later scan of the same targets ends them: their SYN-ACKs come again.
    scan(pair, "always", (10 << 24) + (222 << 16))


@pytest.mark.parametrize("rule", [STATEFUL], indirect=True, ids=["stateful"])
def test_the_last_answers_are_decided_about_too(pair: Veth, rule: str) -> None:
    """Fewer answers than the sample, and no cooldown worth the name."""
    told = scan(pair, "auto", (10 << 24) + (223 << 16), 3, cooldown=0.05)
    assert told["resets"] == ["us", 3]
    assert half_open(pair) == 0


def test_without_an_open_target_nothing_is_decided(pair: Veth) -> None:
    told = scan(pair, "auto", (10 << 24) + (224 << 16), 10, source_ports=[40_000, 40_100], first=10)
    assert told["resets"] == [None, 0]


_SEEN = """
import select, socket, sys
from stages.net import bpf
from stages.net.packetsocket import packet_socket
from stages.scanner.resets import reset_of, watch_filter
with packet_socket() as sock:
    bpf.attach(sock, watch_filter((40000, 40009)))
    sock.bind(("lo", 3))
    for port, host in ((39999, "127.0.0.1"), (40000, "127.0.0.1"), (40009, "127.0.0.1"), (40010, "127.0.0.1")):
        with socket.socket() as refused:  # its SYN leaves from lo; the RST comes from the other port
            refused.connect_ex((host, port))
    found = []
    while select.select([sock], [], [], 1.0)[0]:
        found.append(reset_of(sock.recv(100))[4])
print(sorted(found))
"""


def test_the_watch_sees_only_rsts_from_our_ports_that_leave(pair: Veth) -> None:
    """On loopback every packet leaves and comes: each is seen once, on its way out."""
    assert pair.near(sys.executable, "-c", _SEEN).stdout.strip() == "[40000, 40009]"


def test_it_is_confined() -> None:
    with pytest.raises(confine.ConfinedError):
        Resets("auto", "eth9", source_mac=bytes(6), gateway_mac=bytes(6), source_ports=(1, 2))
