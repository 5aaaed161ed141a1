"""The engine against a real TCP/IP stack: what it finds is what is there."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from stages.scanner import probes
from stages.scanner.answers import ECHOREPLY, ICMP, RST, SYNACK
from stages.scanner.engine import PacketEngine, Plan
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space
from tests.require import require
from tests.servers.veth import FAR, NEAR, Veth, veth

BASE = 10 << 24
RANGES = [[BASE, BASE + 511], [BASE + 1024, BASE + 1279]]
OPEN, CLOSED = 80, 81
#: What the far side does to parts of the space: (prefix, verdict, first address, size).
SILENT = ("10.0.0.64/26", "drop", BASE + 64, 64)
UNREACHABLE = ("10.0.1.0/26", "reject with icmp host-unreachable", BASE + 256, 64)
PROHIBITED = ("10.0.4.128/25", "reject with icmp admin-prohibited", BASE + 1024 + 128, 128)


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft"), "needs nftables")
    with veth() as made:
        rules = [
            f"add rule ip f i ip daddr {prefix} {verdict}" for prefix, verdict, *_ in (SILENT, UNREACHABLE, PROHIBITED)
        ]
        chain = "add chain ip f i { type filter hook input priority 0; }"
        made.far("nft", "-f", "-", input="\n".join(["add table ip f", chain, *rules]) + "\n")
        with made.program(made.far_pid, sys.executable, "-m", "tests.servers.listener", str(OPEN), ready="ready"):
            yield made


def scan(pair: Veth, **asked: Any) -> dict[str, Any]:
    plan = {"cooldown": 1.0, "rate": 20_000, **asked.pop("plan", {})}
    text = json.dumps({"ranges": RANGES, "ports": [OPEN, CLOSED], "plan": plan, **asked})
    told: dict[str, Any] = json.loads(pair.near(sys.executable, "-m", "tests.servers.scan_once", input=text).stdout)
    return told


def within(address: int, part: tuple[str, str, int, int]) -> bool:
    return part[2] <= address < part[2] + part[3]


def truth(address: int, port: int) -> tuple[int, int, int] | None:
    """(kind, ICMP type, ICMP code) of what a target answers; None: nothing."""
    if within(address, SILENT):
        return None
    if within(address, UNREACHABLE):
        return ICMP, 3, 1
    if within(address, PROHIBITED):
        return ICMP, 3, 13
    return (ECHOREPLY if port == 0 else SYNACK if port == OPEN else RST), 0, 0


def expected(ports: tuple[int, ...]) -> dict[tuple[int, int], tuple[int, int, int]]:
    targets = [(a, p) for low, high in RANGES for a in range(low, high + 1) for p in ports]
    return {target: kind for target in targets if (kind := truth(*target)) is not None}


def found(answers: list[dict[str, Any]]) -> dict[tuple[int, int], tuple[int, int, int]]:
    return {(a["address"], a["port"]): (a["kind"], a["icmp_type"], a["icmp_code"]) for a in answers}


def test_what_is_found_is_what_is_there(pair: Veth) -> None:
    told = scan(pair)
    answers = told["answers"]
    right = expected((OPEN, CLOSED))
    assert found(answers) == right
    assert len(answers) == len(right)
    counters = told["counters"]
    assert counters["sent"] == 1536
    assert counters["validated"] == len(right)
    assert (counters["invalid"], counters["duplicates"], counters["ring_drops"]) == (0, 0, 0)
    assert (told["position"], told["before"], told["never"], told["failed"]) == (1536, 1536, 0, None)
    assert sorted(a["position"] for a in answers) == sorted(set(a["position"] for a in answers))
    assert all(0 <= a["rtt"] < 10 for a in answers)
    assert all(a["responder"] == a["saddr"] for a in answers)
    assert all(a["responder"] == a["address"] for a in answers)  # the rules refuse in the target's own name
    about = told["describe"]
    assert (about["engine"], about["interface"], about["source_ip"]) == ("packet", "near0", NEAR)
    mac = json.loads(pair.far("ip", "-j", "link", "show", "far0").stdout)[0]["address"]
    assert about["gateway_mac"] == mac


_CAPTURE = """
import json, select, socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind(('near0', 0x0800))
    print('ready', flush=True)
    frames = []
    while sock in (able := select.select([sock, sys.stdin], [], [])[0]) or sys.stdin not in able:
        frames.append(sock.recv(2048))
print(json.dumps([frame.hex() for frame in frames]))
"""


def test_a_synack_is_told_whole(pair: Veth) -> None:
    """Every field of every answer, against what scapy reads of the packets that came in."""
    with pair.program(pair.near_pid, sys.executable, "-c", _CAPTURE, ready="ready", ask=True) as capture:
        told = scan(pair, args="linux", ports=[OPEN])
        assert capture.stdin is not None
        assert capture.stdout is not None
        capture.stdin.write("\n")
        capture.stdin.flush()
        frames = [Ether(bytes.fromhex(frame)) for frame in json.loads(capture.stdout.readline())]
    synacks = {a["address"]: a for a in told["answers"] if a["kind"] == SYNACK}
    seen = {
        int.from_bytes(bytes(frame[IP])[12:16], "big"): frame
        for frame in frames
        if TCP in frame and frame[TCP].sport == OPEN
    }
    assert len(seen) > 500
    assert set(seen) == set(synacks)
    for address, frame in seen.items():
        answer, ip, tcp = synacks[address], frame[IP], frame[TCP]
        options = dict(tcp.options)
        assert (answer["seq"], answer["ack"], answer["window"]) == (tcp.seq, tcp.ack, tcp.window)
        assert (answer["sport"], answer["dport"]) == (tcp.sport, tcp.dport)
        assert (answer["ttl"], answer["ipid"]) == (ip.ttl, ip.id)
        assert (answer["mss"], answer["wscale"]) == (options["MSS"], options["WScale"])
        assert answer["sack"] == ("SAckOK" in options)
        assert (answer["ts_val"], answer["ts_ecr"]) == options["Timestamp"]
        assert answer["has_ts"] == 1
        assert answer["ts_ecr"] > 0  # our own stamp comes back


def test_icmp_echo(pair: Veth) -> None:
    told = scan(pair, probe="icmp_echoscan", ports=[0])
    assert found(told["answers"]) == expected((0,))
    assert told["counters"]["sent"] == 768


def test_probes_threads_sources_and_no_rate(pair: Veth) -> None:
    sources = [0xC6336402, 0xC6336403]
    pair.near("ip", "addr", "replace", "198.51.100.3/24", "dev", "near0")
    plan = {"probes": 3, "threads": 3, "source_ips": sources, "source_ports": [50_000, 50_009], "rate": 0}
    told = scan(pair, plan=plan, args="bsd")
    answers = told["answers"]
    assert found(answers) == expected((OPEN, CLOSED))
    assert told["counters"]["sent"] == 3 * 1536
    assert {a["attempt"] for a in answers} == {0, 1, 2}
    assert {a["daddr"] for a in answers} == set(sources)
    assert all(50_000 <= a["dport"] <= 50_009 for a in answers)
    first = [a for a in answers if not a["repeat"]]
    assert len(first) == len({(a["address"], a["port"]) for a in answers})
    assert told["counters"]["duplicates"] == len(answers) - len(first)
    assert len(first) < len(answers)


@pytest.mark.parametrize("engine", ["xdp", "packet", "ip"])
@pytest.mark.parametrize("rate", [0, 20_000])
def test_every_engine_finds_the_same(pair: Veth, engine: str, rate: float) -> None:
    told = scan(pair, plan={"engine": engine, "rate": rate, "probes": 2}, args="linux")
    assert told["failed"] is None
    assert told["describe"]["engine"] == engine
    first = [a for a in told["answers"] if not a["repeat"]]
    assert found(first) == expected((OPEN, CLOSED))
    assert (told["counters"]["sent"], told["counters"]["not_sent"]) == (2 * 1536, 0)


def test_two_scans_do_not_read_each_others_answers(pair: Veth) -> None:
    """The same ports of our own, the same targets, at once: each has its own secret."""
    text = json.dumps({
        "ranges": RANGES, "ports": [OPEN, CLOSED], "secret": "22" * 16,
        "plan": {"cooldown": 2.0, "rate": 1_000, "engine": "packet"},
    })  # fmt: skip
    argv = (sys.executable, "-m", "tests.servers.scan_once")
    with pair.program(pair.near_pid, *argv, ask=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text)
        process.stdin.close()
        told = [scan(pair, plan={"cooldown": 3.0, "rate": 1_000, "engine": "xdp"})]
        told.append(json.loads(process.stdout.readline()))
    for one in told:
        assert found(one["answers"]) == expected((OPEN, CLOSED))
        assert one["counters"]["duplicates"] == 0
    assert sum(one["counters"]["invalid"] for one in told) > 1000  # they met


def test_targets_on_the_link_and_behind_the_gateway(pair: Veth) -> None:
    there = [1, 50, 51, 52, 120]
    for number in there[1:]:
        pair.far("ip", "addr", "add", f"198.51.100.{number}/32", "dev", "far0")
    link = 0xC6336400
    for engine in ("xdp", "packet"):
        told = scan(pair, ranges=[*RANGES, [link, link + 127]], ports=[OPEN], plan={"engine": engine})
        right = {target: kind for target, kind in expected((OPEN, CLOSED)).items() if target[1] == OPEN}
        right |= {(link + number, OPEN): (SYNACK, 0, 0) for number in there}
        assert found(told["answers"]) == right
        counters = told["counters"]
        assert (counters["sent"], counters["not_sent"]) == (768 + len(there), 128 - len(there))
        assert told["describe"]["on_link"] == "5 of 128 have a MAC"
    only = scan(pair, ranges=[[link + 40, link + 60]], ports=[OPEN])
    assert set(found(only["answers"])) == {(link + number, OPEN) for number in (50, 51, 52)}
    assert "gateway_mac" not in only["describe"]


_VLAN_PEER = r"""
import socket, struct, sys
mac = bytes.fromhex(sys.argv[1].replace(':', ''))
def total(data):
    value = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while value >> 16:
        value = (value & 0xffff) + (value >> 16)
    return ~value & 0xffff
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind(('far0', 3))
    sock.setsockopt(263, 8, 1)  # PACKET_AUXDATA: the tag that was taken out
    print('ready', flush=True)
    while True:
        frame, aux, _, address = sock.recvmsg(2048, 256)
        if address[2] == socket.PACKET_OUTGOING or not aux:
            continue
        tag = struct.unpack('IIIHHHH', aux[0][2])[5]
        if tag == 0 and not struct.unpack('IIIHHHH', aux[0][2])[0] & 16:
            continue  # untagged
        answer = tag if frame[14 + 19] % 2 else tag + 1  # even addresses answer with another tag
        head = frame[6:12] + mac + struct.pack('!HH', 0x8100, answer)
        if frame[12:14] == b'\x08\x06':
            sock.send(frame[6:12] + mac + struct.pack('!HH', 0x8100, tag) + b'\x08\x06' + frame[14:20]
                      + b'\0\x02' + mac + frame[38:42] + frame[22:32])
        elif frame[23] == 6:
            source, target = frame[26:30], frame[30:34]
            tcp = frame[36:38] + frame[34:36] + struct.pack(
                '!IIBBHHH', 7, (struct.unpack('!I', frame[38:42])[0] + 1) & 0xffffffff, 0x50, 0x12, 100, 0, 0)
            check = total(target + source + struct.pack('!HH', 6, 20) + tcp)
            tcp = tcp[:16] + struct.pack('!H', check) + tcp[18:]
            ip = struct.pack('!BBHHHBBH', 0x45, 0, 40, 1, 0, 64, 6, 0) + target + source
            ip = ip[:10] + struct.pack('!H', total(ip)) + ip[12:]
            sock.send(head + b'\x08\x00' + ip + tcp)
"""


@pytest.mark.parametrize("engine", ["xdp", "packet"])
def test_a_vlan(engine: str) -> None:
    with veth() as own:
        mac = json.loads(own.far("ip", "-j", "link", "show", "far0").stdout)[0]["address"]
        with own.program(own.far_pid, sys.executable, "-c", _VLAN_PEER, mac, ready="ready"):
            told = scan(
                own, plan={"engine": engine, "vlan": 100, "rate": 1_000}, ranges=[[BASE, BASE + 199]], ports=[80]
            )
    assert told["failed"] is None
    assert {a["address"] for a in told["answers"]} == {BASE + at for at in range(1, 200, 2)}
    assert all(a["kind"] == SYNACK for a in told["answers"])
    assert (told["describe"]["vlan"], told["describe"]["gateway_mac"]) == (100, mac)


def test_a_tunnel_without_ethernet_headers() -> None:
    with (
        veth() as own,
        own.program(own.near_pid, sys.executable, "-m", "tests.servers.tunnel", str(own.far_pid), ready="ready"),
    ):
        own.near("ip", "addr", "add", "192.0.2.1/24", "dev", "tun0")
        own.near("ip", "route", "replace", "10.0.0.0/8", "dev", "tun0")
        own.far("ip", "addr", "add", "192.0.2.2/24", "dev", "tun1")
        with own.program(own.far_pid, sys.executable, "-m", "tests.servers.listener", str(OPEN), ready="ready"):
            told = scan(own, plan={"engine": "auto", "rate": 2_000})
    targets = {(a, p) for low, high in RANGES for a in range(low, high + 1) for p in (OPEN, CLOSED)}
    kinds = {(a["address"], a["port"]): a["kind"] for a in told["answers"]}
    assert kinds == {target: SYNACK if target[1] == OPEN else RST for target in targets}
    about = told["describe"]
    assert (about["engine"], about["interface"], about["source_ip"]) == ("ip", "tun0", "192.0.2.1")
    assert "gateway_mac" not in about


@pytest.mark.parametrize("engine", ["xdp", "packet"])
def test_a_carrier_that_comes_and_goes_loses_no_target(engine: str) -> None:
    """Not the answers: those under way are lost. Every target is sent a probe once the carrier is back."""
    with veth() as own:
        own.far("ip", "route", "del", "local", "10.0.0.0/8", "dev", "lo")
        count = 20_000
        text = json.dumps({
            "ranges": [[BASE, BASE + count - 1]], "ports": [80],
            "plan": {"rate": 10_000, "cooldown": 0, "engine": engine},
        })  # fmt: skip
        seen = "awk '/far0/ {print $3}' /proc/net/dev"
        with own.program(own.near_pid, sys.executable, "-m", "tests.servers.scan_once", ask=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(text)
            process.stdin.close()
            own.far("sh", "-c", f"until test $({seen}) -gt 1000; do sleep 0.02; done; ip link set far0 down")
            own.far("sh", "-c", "sleep 0.3; ip link set far0 up")
            told = json.loads(process.stdout.readline())
        arrived = int(own.far("sh", "-c", seen).stdout)
    assert told["failed"] is None
    assert (told["counters"]["sent"], told["position"]) == (count, count)
    assert told["counters"]["send_failures"] > 0
    assert count <= arrived < count + 50  # neighbour discovery and the like


def test_a_queue_that_is_full_loses_no_target() -> None:
    """Raw IP goes through the queueing discipline: a slow and short one throws away what we then send again."""
    require(shutil.which("tc"), "needs tc")
    with veth() as own:
        own.far("ip", "route", "del", "local", "10.0.0.0/8", "dev", "lo")
        own.near("ip", "neigh", "replace", FAR, "lladdr", "02:00:00:00:00:99", "dev", "near0")
        own.near("tc", "qdisc", "add", "dev", "near0", "root", "tbf", "rate", "8mbit", "burst", "5kb", "limit", "5kb")
        count = 5_000
        seen = "awk '/far0/ {print $3}' /proc/net/dev"
        before = int(own.far("sh", "-c", seen).stdout)
        told = scan(
            own, ranges=[[BASE, BASE + count - 1]], ports=[80], plan={"engine": "ip", "rate": 0, "cooldown": 1.0}
        )
        arrived = int(own.far("sh", "-c", seen).stdout) - before
    assert told["failed"] is None
    assert (told["counters"]["sent"], told["position"]) == (count, count)
    assert told["counters"]["send_failures"] > 10
    assert count <= arrived < count + 20


def test_an_interrupted_scan_goes_on_where_it_was(pair: Veth) -> None:
    one = scan(pair, kick=0.1, plan={"rate": 5_000}, secret="11" * 16)
    assert 0 < one["position"] < 1536
    two = scan(pair, plan={"first": one["position"]}, secret="11" * 16)
    assert two["counters"]["sent"] == 1536 - one["position"]
    assert found(one["answers"] + two["answers"]) == expected((OPEN, CLOSED))
    assert not {a["position"] for a in one["answers"]} & {a["position"] for a in two["answers"]}


def test_a_slice_and_the_runtime(pair: Veth) -> None:
    part = scan(pair, plan={"first": 100, "last": 200})
    assert part["counters"]["sent"] == 100
    assert all(100 <= a["position"] < 200 for a in part["answers"])
    short = scan(pair, plan={"rate": 1_000, "max_runtime": 0.2})
    assert 0 < short["counters"]["sent"] < 1536
    assert short["failed"] is None


def test_an_interface_that_goes_down_ends_the_scan_with_its_name(pair: Veth) -> None:
    with veth() as own:
        text = json.dumps({"ranges": [[BASE, BASE + 65_535]], "ports": [80], "plan": {"rate": 5_000}})
        argv = (sys.executable, "-m", "tests.servers.scan_once")
        with own.program(own.near_pid, *argv, ask=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(text)
            process.stdin.close()
            own.far(
                "sh", "-c", "until test $(cat /proc/net/dev | awk '/far0/ {print $3}') -gt 1000; do sleep 0.02; done"
            )
            own.near("ip", "link", "set", "near0", "down")
            told = json.loads(process.stdout.readline())
    assert "near0 is down" in told["failed"]
    assert 0 < told["position"] < 65_536


def test_what_stops_it_before_the_first_packet() -> None:
    with veth() as own:
        no_right = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", sys.executable]
        text = json.dumps({"ranges": RANGES, "ports": [80]})
        told = json.loads(own.near(*no_right, "-m", "tests.servers.scan_once", input=text).stdout)
        assert (told["error"], "CAP_NET_RAW" in told["text"]) == ("NoRawAccess", True)

        own.near("ip", "link", "del", "longline-sim")
        assert scan(own)["error"] == "ConfinedError"
        assert scan(own, plan={"gateway_mac": "020000000001"})["error"] == "ConfinedError"
        own.near("ip", "link", "add", "longline-sim", "type", "veth", "peer", "name", "other")

        assert scan(own, plan={"interface": "eth7"})["error"] == "InterfaceError"
        assert scan(own, ranges=[[0x7F000000, 0x7FFFFFFF]])["error"] == "OwnAddress"
        own.near("ip", "route", "add", "203.0.0.0/8", "dev", "near0")
        assert scan(own, ranges=[[203 << 24, (203 << 24) + 65_536]])["error"] == "OnLink"
        not_ours = scan(own, plan={"source_ips": [0xC6336402, 0xC6336403]})
        assert (not_ours["error"], "198.51.100.3 is not an address" in not_ours["text"]) == ("NotOurs", True)
        own.near("ip", "link", "set", "near0", "mtu", "70")
        long = scan(own, probe="icmp_echoscan", ports=[0], args="text:" + "x" * 60)
        assert (long["error"], "a packet of 88 bytes" in long["text"], "MTU 70" in long["text"]) == (
            "TooLong",
            True,
            True,
        )
        own.near("ip", "link", "set", "near0", "mtu", "1500")

        own.near("ip", "route", "del", "default")
        assert scan(own)["error"] == "NoRoute"
        own.near("ip", "route", "add", "default", "via", "198.51.100.99")
        silent = scan(own)
        assert (silent["error"], "198.51.100.99 does not answer ARP" in silent["text"]) == ("NoNeighbour", True)
        assert json.loads(own.far("ip", "-j", "-s", "link", "show", "far0").stdout)[0]["stats64"]["rx"]["packets"] < 40
        own.near("ip", "link", "set", "near0", "down")
        down = scan(own, plan={"interface": "near0"})
        assert (down["error"], "near0 is down" in down["text"]) == ("InterfaceError", True)


SPACE = Space.build([(BASE, BASE + 9)], (80,))
PLAN = Plan(SPACE, Permutation(10, 1), probes.get("tcp_synscan"), bytes(16))


@pytest.mark.parametrize("wrong", [
    {"secret": b"short"}, {"probes": 0}, {"probes": 256}, {"probes": 3, "source_ports": (1, 2)},
    {"source_ports": (2, 1)}, {"source_ports": (0, 65536)}, {"source_ips": ()}, {"ttl": 0}, {"ttl": 256},
    {"engine": "dpdk"}, {"vlan": 4095}, {"vlan": -1},
    {"first": 11}, {"first": 5, "last": 4}, {"last": 11}, {"rate": -1.0}, {"cooldown": -1.0}, {"threads": 0},
    {"permutation": Permutation(11, 1)}, {"space": Space.build([], (80,))},
], ids=lambda wrong: "-".join(wrong))  # fmt: skip
def test_plans_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(PLAN, **wrong)


def test_the_cooldown_is_not_counted_from_before_the_first_probe() -> None:
    """The receive thread may look while the sender threads are made and not begun: a busy machine did, and scans ended
    without a cooldown."""

    class Sends(threading.Thread):
        error = None

    engine = PacketEngine(replace(PLAN, cooldown=60.0), lambda answers: None)
    sender = Sends(target=lambda: None)
    engine._senders.append(sender)  # type: ignore[arg-type]
    assert engine.sending
    assert not engine._over()
    assert engine._sending_ended is None
    sender.start()
    sender.join()
    assert not engine.sending
    began = time.monotonic()
    assert not engine._over()
    assert engine._sending_ended is not None
    assert engine._sending_ended >= began


def test_an_engine_that_was_never_opened() -> None:
    engine = PacketEngine(PLAN, lambda answers: None)
    assert (engine.position, engine.position_before(1.0), engine.sending, engine.error) == (0, 0, False, None)
    assert engine.counters.sent == 0
    engine.stop_sending()
    engine.close()
    engine.close()


def test_the_far_address_is_what_the_tests_think() -> None:
    assert FAR == "198.51.100.1"
