"""ICMP errors: only what quotes a segment in flight counts; "fragmentation needed" acts, the others are noted."""

from __future__ import annotations

import errno
import struct

import numpy as np
import pytest

from stages.net import ended
from tests.servers.tcp_table import OURS, PEER, Hand, Segment, ip_packet

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)

REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def icmp(kind: int, code: int, seq: int, rest: int = 0, sport: int = 40_000) -> bytes:
    quote = Segment(source=OURS, target=PEER, sport=sport, dport=80, seq=seq).packet()[:28]
    body = struct.pack("!BBHI", kind, code, 0, rest) + quote
    total = int(np.frombuffer(body, ">u2").sum(dtype=np.uint64))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + (total ^ 0xFFFF).to_bytes(2, "big") + body[4:]
    return ip_packet(0xC0000209, OURS, 1, body)


def test_fragmentation_needed_lowers_the_segment_size() -> None:
    hand = Hand(payload=bytes(1000))
    hand.begin()
    assert hand.feed(icmp(3, 4, 4000, 540)) == []  # quotes nothing that is in flight
    again = hand.feed(icmp(3, 4, 5000, 540))
    assert [len(s.data) for s in again] == [500, 500]
    assert hand.feed(icmp(3, 4, 5000, 1400)) == []  # never to larger
    assert hand.counters["pmtu_lowered"] == 1


@pytest.mark.parametrize(
    ("kind", "code", "number"),
    [(3, 1, errno.EHOSTUNREACH), (3, 3, errno.ECONNREFUSED), (3, 13, errno.EHOSTUNREACH), (11, 0, errno.EHOSTUNREACH)],
)
def test_other_icmp_errors_are_hints(kind: int, code: int, number: int) -> None:
    hand = Hand(payload=REQUEST, first=0.1)
    hand.begin()
    hand.feed(icmp(kind, code, 5000))
    assert hand.ended == []
    hand.wait(0.2)
    ((row, _),) = hand.ended
    assert (row["errno"], row["icmp_type"], row["icmp_code"], row["icmp_sender"]) == (number, kind, code, 0xC0000209)
    assert (row["failed"], row["timed_out"], row["has_icmp"], row["phase"]) == (0, 1, 1, ended.WRITE)


def test_an_icmp_error_with_a_wrong_checksum_or_of_another_connection_is_none() -> None:
    hand = Hand(payload=REQUEST)
    hand.begin()
    packet = bytearray(icmp(3, 1, 5000))
    packet[-1] ^= 1
    hand.feed(bytes(packet), icmp(3, 1, 5000, sport=40_001), icmp(4, 0, 5000), icmp(3, 1, 5000)[:40])
    assert hand.counters["icmp_hints"] == 0
