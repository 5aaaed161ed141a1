"""Packets that nobody meant: random, mutated, cut and forged ones through the read kernels of all probe modules.

`make test` reads 20,000 of them, `make fuzz` as many as FUZZ says (LONGLINE_FUZZ; a million by default). What a kernel
accepts must be right by an oracle in plain Python, which knows nothing of numpy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Dot1Q
from scapy.packet import Raw

from stages.net import ring
from stages.net.ring import BLOCK_BYTES
from stages.proto.template import Values
from stages.scanner import answers
from stages.scanner.answers import ANSWER
from stages.scanner.probes import dns, ntp, udp, upnp
from stages.scanner.probes.datagram_plan import Payloads
from stages.scanner.validation import Tag
from tests.fuzzing import fuzz, inputs
from tests.servers.answering import OURS, PORTS, SECRET, Reader
from tests.servers.blocks import CSUMNOTREADY, block
from tests.servers.udp_answers import ROUTER, TARGET, Asked, text
from tests.servers.wire import ether

#: Packets of the fuzz, shared among the modules.
COUNT = inputs()
#: Forged packets of each kind, whatever COUNT is: they are made and read in seconds.
FORGERIES = 1_000_000
#: Packets of a block.
EACH = 500
ATTEMPTS = 3
TCP_PORTS = (80, 443)
UDP_PORTS = (9, 53, 123, 161, 5060)
DNS_ARGS = "A,www.example.com;TXT,example.org"


@dataclass(frozen=True)
class Case:
    """A module, and answers that it accepts."""

    name: str
    reader: Reader
    good: tuple[bytes, ...]
    payloads: Payloads | None = None


def tcp_case(name: str, flags: tuple[tuple[str, int, int], ...]) -> Case:
    tag = Tag.of(SECRET, OURS, TARGET, 80)
    ours, theirs = text(OURS), text(TARGET)
    options = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 9)]
    good = []
    for bits, seq, ack in flags:
        numbers = {"seq": (tag.sequence + seq) % 2**32, "ack": (tag.sequence + ack) % 2**32}
        head = TCP(sport=80, dport=tag.source_port(PORTS, 1), flags=bits, options=options, **numbers)
        good.append(ether() / IP(src=theirs, dst=ours, options=b"\x01" * 8) / head / Raw(b"data"))
        good.append(ether() / Dot1Q(vlan=5) / IP(src=theirs, dst=ours) / head)
    probe = bytes(IP(src=ours, dst=theirs) / TCP(sport=tag.source_port(PORTS), dport=80, seq=tag.sequence))
    good += [
        ether() / IP(src=text(ROUTER), dst=ours) / ICMP(type=kind, code=1) / Raw(probe[:length])
        for kind, length in ((3, 28), (11, 40))
    ]
    return Case(name, Reader(name, each=ATTEMPTS, ports=TCP_PORTS), tuple(map(bytes, good)))


def echo_case(name: str) -> Case:
    tag = Tag.of(SECRET, OURS, TARGET, 0)
    ours, theirs = text(OURS), text(TARGET)
    reply = ICMP(type=0, id=tag.echo_id, seq=tag.echo_sequence(2)) / Raw(bytes(20))
    probe = bytes(IP(src=ours, dst=theirs) / ICMP(type=8, id=tag.echo_id, seq=tag.echo_sequence()))
    error = ether() / IP(src=text(ROUTER), dst=ours) / ICMP(type=3, code=1) / Raw(probe[:28])
    good = (
        ether() / IP(src=theirs, dst=ours) / reply,
        ether() / IP(src=theirs, dst=ours, options=b"\1" * 4) / reply,
        error,
    )
    return Case(name, Reader(name, each=ATTEMPTS), tuple(map(bytes, good)))


def udp_case(name: str, args: str | None, sent: Payloads, ports: tuple[int, ...]) -> Case:
    good = []
    for port in ports:
        asked = Asked(sent, port)
        payload = asked.payload()
        call = next((line for line in payload.split(b"\r\n") if line.startswith(b"Call-ID")), b"")
        data = bytes(24) + payload[40:48] + bytes(16) if port == 123 else call + payload
        good += [asked.answer(data), asked.answer(data, sport=50_000)]
        quote = Raw(asked.probe()[:40])
        good.append(ether() / IP(src=text(ROUTER), dst=text(OURS)) / ICMP(type=3, code=3) / quote)
    return Case(name, Reader(name, ATTEMPTS, args, ports), tuple(map(bytes, good)), sent)


@cache
def cases() -> dict[str, Case]:
    made = (
        tcp_case("tcp_synscan", (("SA", 77, 1), ("R", 0, 1), ("RA", 0, 0))),
        tcp_case("tcp_synackscan", (("R", 0, 9), ("R", 1, 9), ("RA", 5, 1), ("SA", 5, 1))),
        echo_case("icmp_echoscan"),
        echo_case("icmp_echo_time"),
        udp_case("udp", None, udp.payloads_of(""), UDP_PORTS),
        udp_case("dns", DNS_ARGS, dns.payloads_of(DNS_ARGS), (53,)),
        udp_case("ntp", None, ntp.SENT, (123,)),
        udp_case("upnp", None, upnp.SENT, (1900,)),
    )
    return {case.name: case for case in made}


# -- the oracle ---------------------------------------------------------------------------------------------------


def attempt_of(tag: Tag, port: int) -> int | None:
    return next((attempt for attempt in range(ATTEMPTS) if tag.source_port(PORTS, attempt) == port), None)


def number(raw: bytes, at: int, size: int) -> int:
    assert at + size <= len(raw), "the oracle looks beyond the packet: the kernel did, too"
    return int.from_bytes(raw[at : at + size], "big")


def is_right(case: Case, raw: bytes, row: np.void) -> bool:
    """Whether an IPv4 packet (from its header on) is the answer that a row says it is."""
    assert raw[0] >> 4 == 4
    layer4 = (raw[0] & 15) * 4
    saddr, daddr = number(raw, 12, 4), number(raw, 16, 4)
    if number(raw, 6, 2) & 0x1FFF:
        return False
    if raw[9] == 1:
        return icmp_is_right(case, raw, layer4, saddr, daddr, row)
    port, dport = number(raw, layer4, 2), number(raw, layer4 + 2, 2)
    if raw[9] == 6:
        tag = Tag.of(SECRET, daddr, saddr, port)
        attempt = attempt_of(tag, dport)
        seq, ack, flags = number(raw, layer4 + 4, 4), number(raw, layer4 + 8, 4), raw[layer4 + 13]
        after = (tag.sequence + 1) % 2**32
        if case.name == "tcp_synscan":
            kind = answers.RST if flags & 4 else answers.SYNACK
            good = ack in (after, tag.sequence) if flags & 4 else flags & 0x16 == 0x12 and ack == after
        else:
            kind = answers.KNOCK if flags & 4 else answers.SYNACK
            rst = seq in (tag.sequence, after) or (flags & 16 and ack == after)
            good = bool(rst) if flags & 4 else flags & 0x16 == 0x12 and ack == after
        return good and (row["kind"], row["attempt"], row["address"], row["port"]) == (kind, attempt, saddr, port)
    assert raw[9] == 17
    assert case.payloads is not None
    size = max(number(raw, layer4 + 4, 2) - 8, 0)
    data = raw[layer4 + 8 : layer4 + 8 + size]
    tag = Tag.of(SECRET, daddr, saddr, int(row["port"]))
    attempt = attempt_of(tag, dport)
    if attempt is None or (row["address"], row["sport"], row["attempt"]) != (saddr, port, attempt):
        return False
    first = case.payloads.first(int(row["port"]), attempt)
    values = Values(daddr, saddr, dport, int(row["port"]), tag.value)
    if first.cookie is not None and not first.cookie.answers(first.template, values, data):
        return False
    expected = data[first.expect_at : first.expect_at + len(first.expect)] == first.expect
    return (row["kind"] == answers.UDP) == expected and row["data_size"] == len(data) <= row["size"]


def icmp_is_right(case: Case, raw: bytes, layer4: int, saddr: int, daddr: int, row: np.void) -> bool:
    if raw[layer4] == 0:
        tag = Tag.of(SECRET, daddr, saddr, 0)
        attempt = (number(raw, layer4 + 6, 2) - tag.echo_sequence()) % 2**16
        return number(raw, layer4 + 4, 2) == tag.echo_id and attempt < ATTEMPTS and row["address"] == saddr
    inner = layer4 + 8
    quote = inner + (raw[inner] & 15) * 4
    target, protocol = number(raw, inner + 16, 4), raw[inner + 9]
    if raw[layer4] not in (3, 4, 5, 11, 12) or number(raw, inner + 12, 4) != daddr or row["address"] != target:
        return False
    if protocol == 1:
        tag = Tag.of(SECRET, daddr, target, 0)
        attempt = (number(raw, quote + 6, 2) - tag.echo_sequence()) % 2**16
        return raw[quote] == 8 and number(raw, quote + 4, 2) == tag.echo_id and attempt < ATTEMPTS
    tag = Tag.of(SECRET, daddr, target, number(raw, quote + 2, 2))
    if attempt_of(tag, number(raw, quote, 2)) != row["attempt"]:
        return False
    if protocol == 6:
        return number(raw, quote + 4, 4) == tag.sequence
    ident = tag.value & 0xFFFF
    return protocol == 17 and number(raw, inner + 4, 2) in (ident, (ident & 0xFF) << 8 | ident >> 8)


# -- packets ------------------------------------------------------------------------------------------------------


def mangled(good: tuple[bytes, ...], rng: np.random.Generator, count: int) -> Iterator[bytes]:
    """Answers with bytes changed, cut off, doubled or put in, and plain noise."""
    for _ in range(count):
        frame = bytearray(good[rng.integers(len(good))])
        what = rng.integers(8)
        if what == 0:
            frame[14:] = rng.bytes(int(rng.integers(120)))
        elif what == 1:
            del frame[int(rng.integers(len(frame))) :]
        elif what == 2:
            at = int(rng.integers(14, len(frame)))
            frame[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif what == 3:  # header lengths, total length, fragment bits, offsets: what a reader goes by
            at = 14 + int(rng.choice([0, 2, 3, 6, 7, 9, 20, 24, 25, 28, 32, 33]))
            if at < len(frame):
                frame[at] = int(rng.integers(256))
        else:
            for _ in range(int(rng.integers(1, 5))):
                frame[int(rng.integers(len(frame)))] = int(rng.integers(256))
        yield with_header_checksum(bytes(frame)) if rng.integers(4) else bytes(frame)


def with_header_checksum(frame: bytes) -> bytes:
    """The IPv4 checksum set right, so that what is behind the header is looked at."""
    from stages.net.checksum import checksum

    at = 18 if frame[12:14] == b"\x81\x00" else 14
    length = (frame[at] & 15) * 4 if len(frame) > at else 0
    if length < 20 or len(frame) < at + length:
        return frame
    header = frame[at : at + 10] + b"\0\0" + frame[at + 12 : at + length]
    return frame[: at + 10] + checksum(header).to_bytes(2, "big") + frame[at + 12 :]


def offsets(data: np.ndarray, count: int) -> np.ndarray:
    table = np.zeros((ring.MAX_PACKETS, ring.COLUMNS), np.int64)
    _, rows = ring.packets(data, table)
    assert rows <= count
    return table[:rows]


@pytest.mark.slow
@fuzz
@pytest.mark.parametrize("name", cases())
def test_what_is_accepted_is_right(name: str) -> None:
    case = cases()[name]
    rng = np.random.default_rng(len(name))
    total = max(COUNT // len(cases()), EACH)
    accepted = 0
    for _ in range(-(-total // EACH)):
        frames = list(mangled(case.good, rng, EACH - len(case.good))) + list(case.good)
        data = block(frames, status=CSUMNOTREADY if rng.integers(2) else 0)
        table = offsets(data, EACH)
        # One at a time, so that row and packet are known to belong together; and all at once: the same.
        out = np.zeros(EACH, ANSWER)
        found = 0
        for i in range(len(table)):
            row = np.zeros(1, ANSWER)
            if case.reader.module.classify(data, table[i : i + 1], 1, case.reader.constants, row):
                raw = bytes(data[table[i, ring.IP] : table[i, ring.END]])
                packet = raw[: max(number(raw, 2, 2), 20)]
                assert is_right(case, packet, row[0]), packet.hex()
                at, size = int(row[0]["data_at"]), int(row[0]["data_size"])
                assert size == 0 or table[i, ring.IP] <= at <= at + size <= table[i, ring.END]
                out[found] = row[0]
                found += 1
        again = np.zeros(ring.MAX_PACKETS, ANSWER)
        assert case.reader.module.classify(data, table, len(table), case.reader.constants, again) == found
        assert again[:found].tobytes() == out[:found].tobytes()
        assert found >= len(case.good)
        accepted += found
    assert accepted > total // 50  # the mutations leave enough that is right


#: Run by test_no_load_is_out_of_bounds, with every load checked by numba.
BOUNDS = """
import numpy as np
from tests.scanner import test_fuzz as fuzz

for case in fuzz.cases().values():
    rng = np.random.default_rng(7)
    frames = [frame[:n] for frame in case.good for n in range(14, len(frame) + 1)]
    frames += list(fuzz.mangled(case.good, rng, 400))
    for frame in frames:
        for snap in (len(frame), max(len(frame) - 3, 0)):
            data = fuzz.block([frame], status=8, snap=snap)
            table = fuzz.offsets(data, 1)
            if len(table):  # the memory ends where the packet ends
                short = data[: table[0, fuzz.ring.END]].copy()
                case.reader.module.classify(short, table, 1, case.reader.constants, np.zeros(1, fuzz.ANSWER))
print("ok")
"""


@pytest.mark.slow
def test_no_load_is_out_of_bounds(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", BOUNDS], cwd=root, env=env, capture_output=True, text=True, timeout=170
    )
    assert done.stdout == "ok\n", done.stderr


# -- forgeries ----------------------------------------------------------------------------------------------------


def forge(case: Case, frame: bytes, fields: dict[int, Callable[[np.random.Generator, int], np.ndarray]]) -> int:
    """How many of FORGERIES packets pass: `frame` with other bytes (big-endian, as drawn) at some offsets."""
    rng = np.random.default_rng(11)
    each = 1000
    data = block([frame] * each, status=CSUMNOTREADY)
    step = int.from_bytes(data[48:52].tobytes(), "little")
    begin = data.tobytes().index(frame)
    rows = np.lib.stride_tricks.as_strided(data[begin:], (each, len(frame)), (step, 1))
    table, out = offsets(data, each), np.zeros(ring.MAX_PACKETS, ANSWER)
    assert data.size == BLOCK_BYTES
    assert len(table) == each
    assert case.reader.module.classify(data, table, each, case.reader.constants, out) == each  # unchanged, all pass
    passed = 0
    for _ in range(FORGERIES // each):
        for at, drawn in fields.items():
            values = drawn(rng, each)
            rows[:, at : at + values.shape[1]] = values
        passed += int(case.reader.module.classify(data, table, each, case.reader.constants, out))
    return passed


def noise(size: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, count: rng.integers(0, 256, (count, size), np.uint8)


def a_port(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(PORTS[0], PORTS[1] + 1, count).astype(">u2").view(np.uint8).reshape(count, 2)


FORGED = [
    pytest.param("tcp_synscan", 1, {40: a_port, 46: noise(4)}, id="SYN-ACK"),
    pytest.param("tcp_synscan", 3, {40: a_port, 46: noise(4)}, id="RST"),
    pytest.param("tcp_synscan", -2, {62: a_port, 66: noise(4)}, id="ICMP error about a SYN"),
    pytest.param("icmp_echoscan", 0, {38: noise(4)}, id="echo reply"),
    pytest.param("icmp_echoscan", -1, {66: noise(4)}, id="ICMP error about an echo"),
    pytest.param("dns", 0, {36: a_port, 42: noise(2)}, id="DNS"),
    pytest.param("dns", 2, {46: noise(2), 62: a_port}, id="ICMP error about a datagram"),
    pytest.param("ntp", 0, {36: a_port, 66: noise(8)}, id="NTP"),
]


@pytest.mark.parametrize(("name", "which", "fields"), FORGED)
def test_of_a_million_forgeries_none_passes(name: str, which: int, fields: dict[int, Callable]) -> None:  # type: ignore[type-arg]
    case = cases()[name]
    assert forge(case, case.good[which], fields) == 0


def test_where_only_the_port_binds_no_more_pass_than_by_chance() -> None:
    case = cases()["upnp"]
    expected = FORGERIES * ATTEMPTS / (PORTS[1] - PORTS[0] + 1)
    assert abs(forge(case, case.good[0], {36: a_port}) - expected) < 5 * expected**0.5
