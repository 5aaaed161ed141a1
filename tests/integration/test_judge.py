"""The judge of captures finds each wrong packet, and only those."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from tests.servers.capture import Frame
from tests.servers.judge import judge

PORTS = (50_000, 50_010)
US, PEER = "198.51.100.2", "10.50.0.1"
#: So that nobody is asked for it.
MAC = "02:00:00:00:00:01"


def ours(data: bytes = b"", flags: str = "A", seq: int = 0, ack: int = 0, **more: object) -> Frame:
    tcp = TCP(sport=50_001, dport=80, flags=flags, seq=1000 + seq, ack=7000 + ack, **more)
    return Frame(True, bytes(Ether(dst=MAC) / IP(src=US, dst=PEER) / tcp / data))


def theirs(data: bytes = b"", flags: str = "A", seq: int = 0, ack: int = 0, **more: object) -> Frame:
    tcp = TCP(sport=80, dport=50_001, flags=flags, seq=7000 + seq, ack=1000 + ack, **more)
    return Frame(False, bytes(Ether(dst=MAC) / IP(src=PEER, dst=US) / tcp / data))


SYN = ours(flags="S", options=[("MSS", 1460), ("WScale", 8)])
SYNACK = theirs(flags="SA", ack=1, window=100, options=[("MSS", 88), ("WScale", 1)])
GOOD = [
    SYN, SYNACK, ours(b"x" * 88, seq=1, ack=1), ours(b"x" * 12, seq=89, ack=1),
    theirs(b"hello", seq=1, ack=101, window=50), ours(seq=101, ack=6), ours(b"y" * 50, seq=101, ack=6),
    ours(b"y" * 50, seq=151, ack=6), theirs(seq=6, ack=201, window=0), ours(b"z", seq=201, ack=6),
    theirs(flags="FA", seq=6, ack=201, window=9), ours(flags="FA", seq=201, ack=7),
]  # fmt: skip


def test_a_good_connection() -> None:
    judged = judge(GOOD, PORTS)
    assert judged.wrong == []
    ((key, flow),) = judged.flows.items()
    assert key == (50_001, PEER, 80)
    assert (flow.mss, flow.scale, flow.next, flow.packets, flow.resets) == (88, 1, 7, 7, 0)


def damaged(frame: Frame, at: int) -> Frame:
    data = bytearray(frame.data)
    data[at] ^= 1
    return Frame(frame.ours, bytes(data))


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([SYN, SYNACK, ours(b"x" * 89, seq=1, ack=1)], "89 bytes, the peer takes 88"),
        ([SYN, SYNACK, ours(b"x" * 88, seq=1, ack=1), ours(b"x" * 13, seq=89, ack=1)], "up to 102, offered up to 101"),
        ([SYN, SYNACK, ours(seq=1, ack=2)], "acknowledges 2, come so far 1"),
        ([SYN, SYNACK, theirs(b"later", seq=9, ack=1), ours(seq=1, ack=14)], "acknowledges 14, come so far 1"),
        ([SYN, SYNACK, ours(b"x", seq=5, ack=1)], "from 5, sent so far 1"),
        ([SYN, ours(seq=1, ack=1)], "before any SYN-ACK"),
        ([ours(seq=1, ack=1)], "of no connection of ours"),
        ([SYN, SYNACK, damaged(ours(seq=1, ack=1), 50)], "a wrong checksum"),
        ([SYN, SYNACK, damaged(ours(seq=1, ack=1), 24)], "a wrong checksum"),
    ],
)
def test_what_is_wrong(frames: list[Frame], text: str) -> None:
    judged = judge(frames, PORTS)
    assert len(judged.wrong) == 1, judged.wrong
    assert text in judged.wrong[0]


def test_what_was_damaged_on_its_way_has_not_come() -> None:
    frames = [SYN, SYNACK, damaged(theirs(b"hello", seq=1, ack=1), 56), ours(seq=1, ack=6)]
    assert "come so far 1" in judge(frames, PORTS).wrong[0]
    assert judge(frames, PORTS, finished=False).wrong == []


def test_gaps_are_filled_in_any_order() -> None:
    parts: Callable[[int], Frame] = lambda at: theirs(bytes(10), seq=1 + at, ack=1)  # noqa: E731
    frames = [SYN, SYNACK, parts(20), parts(10), ours(seq=1, ack=1), parts(0), ours(seq=1, ack=31)]
    assert judge(frames, PORTS).wrong == []


def test_other_ports_are_not_looked_at_and_resets_are_counted() -> None:
    assert judge([ours(seq=1, ack=1)], (1, 2)).flows == {}
    judged = judge([SYN, SYNACK, ours(flags="R", seq=1)], PORTS)
    assert (judged.wrong, judged.resets, judged.late_resets) == ([], 1, 0)
    judged = judge([SYN, SYNACK, ours(flags="FA", seq=1, ack=1), ours(flags="R", seq=3)], PORTS)
    assert (judged.wrong, judged.resets, judged.late_resets) == ([], 1, 1)
