"""Segments out: MSS, windows both ways, the ACK that is owed, and round trips."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP

from stages.net import tcp, tcp_talking
from stages.net.tcp_output import RTO_FIRST, RTO_LEAST
from tests.servers.tcp_table import ACK, FIN, PSH, Hand, Segment, half

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(
    ("mss", "stamps", "most"),
    [(88, 0, 88), (88, 1, 76), (0, 0, 536), (1460, 0, 1460), (65_535, 0, 1460), (1, 0, tcp.MSS_LEAST)],
)
def test_segments_are_what_the_peer_takes(mss: int, stamps: int, most: int) -> None:
    hand = Hand(payload=bytes(4000))
    sizes = [len(s.data) for s in hand.begin(half(mss=mss, has_ts=stamps))]
    assert max(sizes) == most
    assert len(sizes) <= 10  # the first congestion window


def test_the_last_one_pushes() -> None:
    flags = [s.flags for s in Hand(payload=bytes(3000)).begin()]
    assert flags == [ACK, ACK, ACK | PSH]


def test_the_window_of_the_syn_ack_is_not_scaled_and_later_ones_are() -> None:
    hand = Hand(payload=bytes(3000))
    first = hand.begin(half(window=500, wscale=3))
    assert sum(len(s.data) for s in first) == 500
    more = hand.feed(Segment(seq=1001, ack=5500, window=125))
    assert sum(len(s.data) for s in more) == 1000
    assert max(s.seq + len(s.data) for s in more) <= 5500 + 1000


@pytest.mark.parametrize(("own", "peer"), [(-1, 7), (8, -1)])
def test_a_scale_that_one_side_did_not_offer_is_none(own: int, peer: int) -> None:
    hand = Hand(payload=bytes(3000), own_wscale=own)
    hand.begin(half(window=500, wscale=peer))
    more = hand.feed(Segment(seq=1001, ack=5500, window=100))
    assert sum(len(s.data) for s in more) == 100
    assert more[0].window == 65_535


def test_a_huge_scale_is_fourteen() -> None:
    hand = Hand(payload=b"x")
    hand.begin(half(wscale=127))
    hand.feed(Segment(seq=1001, ack=5001, window=3))
    assert hand.connection()["wnd"] == 3 << 14


def test_a_shut_window_is_asked_about_with_no_byte_beyond_it() -> None:
    hand = Hand(payload=bytes(300), first=60, total=60)
    hand.begin(half(window=0))
    for _ in range(3):
        probes: list[Segment] = []
        while not probes:
            probes = hand.wait(0.05)
        (probe,) = probes
        assert (probe.seq, probe.data) == (4999, b"")
        assert hand.feed(Segment(seq=1001, ack=5000, window=0)) == []
    (rest,) = hand.feed(Segment(seq=1001, ack=5000, window=65_535))
    assert (rest.seq, len(rest.data)) == (5000, 300)


def test_our_window_is_what_the_pool_takes_and_is_never_taken_back() -> None:
    hand = Hand(payload=b"", chunks=100, own_wscale=-1, max_bytes=1 << 20)
    (first,) = hand.begin()
    assert first.window == 65_535
    edge = 1001 + 65_535
    seq = 1001
    while seq + 1000 <= edge:
        for answer in hand.feed(Segment(seq=seq, ack=5000, data=bytes(1000))):
            assert answer.ack + answer.window >= edge
            edge = max(edge, answer.ack + answer.window)
        seq += 1000
        if seq > 100_000:
            break
    assert edge <= 1001 + 101 * tcp.CHUNK
    assert hand.counters["not_held"] == 0


def test_round_trips() -> None:
    hand = Hand(payload=b"x" * 100)
    hand.begin(half(rtt=0.3))
    assert hand.connection()["rto"] == 900_000  # SRTT + 4 * RTTVAR (RFC 6298 2.2)
    hand.now += 300_000
    hand.feed(Segment(seq=1001, ack=5100))
    assert (hand.connection()["srtt"], hand.connection()["rto"]) == (300_000, 300_000 + 4 * 112_500)
    hand = Hand(payload=b"x")
    hand.begin(half(rtt=float("nan")))
    assert hand.connection()["rto"] == RTO_FIRST
    hand = Hand(payload=b"x")
    hand.begin(half(rtt=0.0001))
    assert hand.connection()["rto"] == RTO_LEAST


def test_frames_that_find_no_room_leave_later() -> None:
    hand = Hand(payload=bytes(10_000), first=60)
    hand.table = hand.table._replace(frames=hand.frames[:5])
    sizes = [len(s.data) for s in hand.begin()]
    while sum(sizes) < 10_000:
        sizes += [len(s.data) for s in hand.wait(0.005)]
    assert sizes == [1460] * 6 + [1240]


def test_scapy_reads_the_same_and_finds_the_same_checksums() -> None:
    hand = Hand(payload=b"GET / HTTP/1.0\r\n\r\n")
    hand.begin(half(has_ts=1, ts_val=7, ts_ecr=9))
    hand.feed(Segment(seq=1001, ack=5018, data=b"odd", stamp=(8, 9)))
    hand.feed(Segment(seq=1004, ack=5018, flags=ACK | FIN, stamp=(8, 9)))
    hand.begin(half(own_port=40_001))
    tcp_talking.abort_every(hand.table, 0)
    hand.out()
    count = 0
    for row, length in zip(hand.frames, hand.table.lengths, strict=True):
        if row[14] != 0x45:
            break
        packet = IP(row[14:length].tobytes())
        again = packet.copy()
        del again.chksum, again[TCP].chksum, again[TCP].dataofs, again.len
        assert bytes(again) == bytes(packet)
        assert (packet.src, packet.dst, packet.flags, packet.ttl) == ("198.51.100.2", "10.0.0.1", "DF", 64)
        count += 1
    assert count >= 2
