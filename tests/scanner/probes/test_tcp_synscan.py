from __future__ import annotations

import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror
from scapy.layers.l2 import ARP, Dot1Q
from scapy.packet import Packet, Raw

from stages.scanner import answers, probes
from stages.scanner.probes import tcp_synscan
from stages.scanner.validation import Tag
from tests.servers.answering import OURS, PORTS, SECRET, Reader
from tests.servers.blocks import CSUMNOTREADY
from tests.servers.wire import ether

TARGET, PORT, ROUTER = 0x0A010203, 443, 0x0AFFFFFE
TAG = Tag.of(SECRET, OURS, TARGET, PORT)
SEQ, SPORT = TAG.sequence, TAG.source_port(PORTS)
OPTIONS = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (0xDEADBEEF, 0x01020304)), ("NOP", None), ("WScale", 9)]

reader = Reader("tcp_synscan")
three = Reader("tcp_synscan", each=3)


def text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))


def ip(source: int = TARGET, **more: object) -> IP:
    return IP(src=text(source), dst=text(OURS), **more)


def tcp(flags: str = "SA", **more: object) -> TCP:
    return TCP(**{"sport": PORT, "dport": SPORT, "seq": 77, "ack": (SEQ + 1) % (1 << 32), "flags": flags, **more})


def probe(**more: object) -> bytes:
    """Our probe, as a router would quote it: its IP header and all of its TCP header."""
    return bytes(IP(src=text(OURS), dst=text(TARGET)) / TCP(**{"sport": SPORT, "dport": PORT, "seq": SEQ, **more}))


def test_a_whole_synack_is_read() -> None:
    packet = ether() / ip(id=4711, ttl=57) / tcp(window=29_200, options=OPTIONS)
    row = reader.read(packet)
    assert row is not None
    assert {name: row[name].item() for name in answers.ANSWER.names if name not in ("rtt", "position", "ts")} == {
        "saddr": TARGET, "daddr": OURS, "seq": 77, "ack": (SEQ + 1) % (1 << 32), "ts_val": 0xDEADBEEF,
        "ts_ecr": 0x01020304, "responder": TARGET, "address": TARGET, "sport": PORT, "dport": SPORT, "port": PORT,
        "window": 29_200, "ipid": 4711, "mss": 1400, "wscale": 9, "sack": 1, "has_ts": 1, "ttl": 57,
        "kind": answers.SYNACK, "icmp_type": 0, "icmp_code": 0, "attempt": 0, "repeat": 0, "cooldown": 0,
        "bound": answers.BY_PORT | answers.BY_NUMBER, "bits": 31 + 9, "size": 0, "data_size": 0, "data_at": 0,
    }  # fmt: skip
    assert row["ts"] == 1_000 * 1_000_000


def test_without_options_nothing_is_left_over_from_before() -> None:
    row = reader.read(ether() / ip() / tcp())
    assert row is not None
    assert (row["mss"], row["wscale"], row["sack"], row["has_ts"], row["ts_val"]) == (0, -1, 0, 0, 0)


@pytest.mark.parametrize("packet", [
    ether() / ip() / tcp(options=OPTIONS) / Raw(b"data in a SYN-ACK"),
    ether() / ip(options=b"\x01" * 40) / tcp(options=OPTIONS),
    ether() / ip() / tcp() / Raw(b"x"),
    ether() / ip() / tcp("SAEC"),
    bytes(ether() / ip() / tcp()) + bytes(6),
], ids=["payload", "ip options", "odd", "ecn", "padding"])  # fmt: skip
def test_unusual_synacks(packet: Packet) -> None:
    row = reader.read(packet)
    assert row is not None
    assert row["kind"] == answers.SYNACK


@pytest.mark.parametrize("ack", [SEQ, (SEQ + 1) % (1 << 32)])
@pytest.mark.parametrize("flags", ["R", "RA"])
def test_both_forms_of_a_rst(ack: int, flags: str) -> None:
    row = reader.read(ether() / ip() / tcp(flags, ack=ack, seq=0))
    assert row is not None
    assert (row["kind"], row["address"], row["port"]) == (answers.RST, TARGET, PORT)


def test_vlan_tags_are_stepped_over() -> None:
    for tags in (Dot1Q(vlan=3), Dot1Q(vlan=3) / Dot1Q(vlan=4)):
        assert len(reader.classify([bytes(ether() / tags / ip() / tcp())])) == 1


ERRORS = [(3, code) for code in range(16)] + [(11, 0), (11, 1), (4, 0), (5, 1), (12, 0)]


@pytest.mark.parametrize(("kind", "code"), ERRORS)
@pytest.mark.parametrize("quote", [28, 40])
def test_icmp_errors(kind: int, code: int, quote: int) -> None:
    row = reader.read(ether() / ip(ROUTER, ttl=33) / ICMP(type=kind, code=code) / Raw(probe()[:quote]))
    assert row is not None
    assert (row["kind"], row["icmp_type"], row["icmp_code"]) == (answers.ICMP, kind, code)
    assert (row["address"], row["port"], row["responder"], row["saddr"]) == (TARGET, PORT, ROUTER, ROUTER)
    assert (row["ttl"], row["mss"], row["wscale"], row["has_ts"]) == (33, 0, -1, 0)


def test_an_icmp_error_with_a_long_quote_is_cut_by_the_filter_and_still_read() -> None:
    frame = bytes(ether() / ip(ROUTER) / ICMP(type=3, code=1) / Raw(probe() + bytes(500)))
    assert reader.passes(frame)
    assert len(reader.classify([frame], snap=192)) == 1


def test_a_quote_with_ip_options() -> None:
    inner = IP(src=text(OURS), dst=text(TARGET), options=b"\x01" * 12) / TCP(sport=SPORT, dport=PORT, seq=SEQ)
    assert reader.read(ether() / ip(ROUTER) / ICMP(type=11) / Raw(bytes(inner)[:40])) is not None


INNER_LATER = bytes(IP(src=text(OURS), dst=text(TARGET), frag=5) / TCP(sport=SPORT, dport=PORT, seq=SEQ))
NO_ANSWERS: dict[str, Packet | bytes] = {
    "wrong ack": ether() / ip() / tcp(ack=(SEQ + 2) % (1 << 32)),
    "ack of a rst's second form in a SYN-ACK": ether() / ip() / tcp(ack=SEQ),
    "rst out of the blue": ether() / ip() / tcp("R", ack=0),
    "other host": ether() / ip(TARGET + 1) / tcp(),
    "other port": ether() / ip() / tcp(sport=PORT + 1),
    "other source port": ether() / ip() / tcp(dport=SPORT + 1),
    "port out of range": ether() / ip() / tcp(dport=PORTS[1] + 1),
    "to another of our addresses": ether() / IP(src=text(TARGET), dst=text(OURS + 1)) / tcp(),
    "only SYN": ether() / ip() / tcp("S"),
    "only ACK": ether() / ip() / tcp("A"),
    "wrong tcp checksum": ether() / ip() / tcp(chksum=1),
    "wrong ip checksum": ether() / ip(chksum=1) / tcp(),
    "header length below 5": ether() / ip() / tcp(dataofs=4),
    "header longer than the packet": ether() / ip() / tcp(dataofs=15),
    "a later fragment": ether() / ip(frag=1) / tcp(),
    "udp": ether() / ip() / UDP(sport=PORT, dport=SPORT),
    "arp": ether() / ARP(),
    "nothing": b"",
    "icmp echo reply": ether() / ip() / ICMP(type=0),
    "icmp quotes another sequence number": ether() / ip(ROUTER) / ICMP(type=3) / Raw(probe(seq=SEQ ^ 1)),
    "icmp quotes another source port": ether() / ip(ROUTER) / ICMP(type=3) / Raw(probe(sport=SPORT ^ 1)),
    "icmp quotes 7 bytes": ether() / ip(ROUTER) / ICMP(type=3) / Raw(probe()[:27]),
    "icmp quotes a later fragment": ether() / ip(ROUTER) / ICMP(type=3) / Raw(INNER_LATER),
    "icmp quotes nothing": ether() / ip(ROUTER) / ICMP(type=3),
    "icmp wrong checksum": ether() / ip(ROUTER) / ICMP(type=3, chksum=1) / Raw(probe()),
    "icmp quotes somebody else's packet": ether() / ip(ROUTER) / ICMP(type=3) / (
        IPerror(src=text(OURS + 1), dst=text(TARGET)) / TCPerror(sport=SPORT, dport=PORT, seq=SEQ)
    ),
}  # fmt: skip


@pytest.mark.parametrize("packet", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_to_us(packet: Packet | bytes) -> None:
    assert reader.read(packet) is None


GOOD = [
    bytes(ether() / ip() / tcp(options=OPTIONS)),
    bytes(ether() / ip(ROUTER) / ICMP(type=3, code=1) / Raw(probe()[:28])),
]


@pytest.mark.parametrize("frame", GOOD)
def test_truncated_packets_do_not_pass_and_do_not_crash(frame: bytes) -> None:
    for length in range(len(frame)):
        assert len(reader.classify([frame[:length]])) == 0
        if length >= 14 + 20:  # not received whole: all headers must be there
            assert len(reader.classify([frame], snap=length)) == 0


def test_an_unfinished_checksum_is_not_verified() -> None:
    frame = bytes(ether() / ip() / tcp(chksum=1))
    assert len(reader.classify([frame], status=CSUMNOTREADY)) == 1


@pytest.mark.parametrize("options", [
    [("MSS", 1400), (2, b"")], [(8, b"123")], [(3, b"12")], [("MSS", 9), (77, b"x" * 30)],
])  # fmt: skip
def test_malformed_options_do_no_harm(options: list[object]) -> None:
    row = reader.read(ether() / ip() / tcp(options=options))
    assert row is not None
    assert row["has_ts"] == 0
    assert row["wscale"] == -1


@pytest.mark.parametrize(
    "tail", [b"\x02", b"\x02\x00\x05\xb4", b"\x02\x01\x05\xb4", b"\x02\x05\x05\xb4", b"\x00\x02\x04\x01"]
)
def test_an_option_that_lies_about_its_length_ends_the_reading(tail: bytes) -> None:
    segment = bytes(tcp(dataofs=7)) + b"\x03\x03\x07" + b"\x01" * (5 - len(tail)) + tail
    row = reader.read(bytes(ether(type=0x0800)) + with_checksum(bytes(ip(proto=6) / Raw(segment))))
    assert row is not None
    assert (row["wscale"], row["mss"], row["sack"]) == (7, 0, 0)


def with_checksum(packet: bytes) -> bytes:
    """An IPv4 packet without options, its TCP checksum set right, nothing else touched."""
    from stages.net.checksum import checksum

    zero = packet[:36] + b"\0\0" + packet[38:]
    pseudo = packet[12:20] + b"\0\x06" + (len(packet) - 20).to_bytes(2, "big")
    return packet[:36] + checksum(pseudo + zero[20:]).to_bytes(2, "big") + packet[38:]


@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_the_attempt_is_told_by_its_port(attempt: int) -> None:
    row = three.read(ether() / ip() / tcp(dport=TAG.source_port(PORTS, attempt)))
    assert row is not None
    assert row["attempt"] == attempt
    assert reader.read(ether() / ip() / tcp(dport=TAG.source_port(PORTS, 3))) is None
    assert three.read(ether() / ip() / tcp(dport=TAG.source_port(PORTS, 3))) is None


def test_many_packets_in_one_block_keep_their_order() -> None:
    frames = []
    for i in range(200):
        tag = Tag.of(SECRET, OURS, TARGET + i, PORT)
        good = ip(TARGET + i) / tcp(dport=tag.source_port(PORTS), ack=(tag.sequence + 1) % (1 << 32))
        frames += [bytes(ether() / good), bytes(ether() / ip(TARGET + i) / tcp(ack=i))]
    assert reader.classify(frames)["address"].tolist() == [TARGET + i for i in range(200)]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(GOOD), st.data())
def test_mutated_packets_never_crash_and_pass_only_where_nothing_bound_changed(
    frame: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(frame) - 1))
    raw = bytearray(frame)
    raw[at] ^= data.draw(st.integers(1, 255))
    for row in reader.classify([bytes(raw)]):
        assert (row["address"], row["port"]) == (TARGET, PORT)
        # An error's quote is not covered by a checksum that we can trust: only what we bound is certain.
        assert at < 12 or frame == GOOD[1]


def test_forgeries_do_not_pass() -> None:
    """Random numbers where the tag must be: 20,000 packets that are right otherwise."""
    rng = np.random.default_rng(1)
    base = bytes(ether() / ip() / tcp())
    for _ in range(20):
        frames = []
        for _ in range(1000):
            raw = bytearray(base)
            raw[36:38] = int(rng.integers(PORTS[0], PORTS[1] + 1)).to_bytes(2, "big")
            raw[42:46] = rng.bytes(4)
            frames.append(bytes(raw))
        assert len(reader.classify(frames, status=CSUMNOTREADY)) == 0


def test_option_sets() -> None:
    with pytest.raises(ValueError, match="'solaris'"):
        probes.get("tcp_synscan", "solaris")
    assert len(probes.get("tcp_synscan", "linux").template) == 74
    assert set(tcp_synscan.OPTION_SETS) == {"smallest-probes", "bsd", "windows", "linux"}
