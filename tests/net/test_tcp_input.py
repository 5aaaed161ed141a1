"""Segments in: each rule of RFC 9293 3.10.7.4 (and of RFC 5961, 7323) by a table of what comes and what leaves."""

from __future__ import annotations

import dataclasses
import errno
import struct

import numpy as np
import pytest

from stages.net import ended, tcp, tcp_talking
from stages.net.tcp_input import MAX_CHALLENGES
from tests.servers.tcp_table import ACK, FIN, OURS, PEER, PSH, RST, SYN, Hand, Segment, check_table, half

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)

REQUEST = b"GET / HTTP/1.0\r\n\r\n"
LEN = len(REQUEST)


def opened(row: np.ndarray | None = None, **more: object) -> Hand:
    """The request has left and is acknowledged."""
    hand = Hand(payload=REQUEST, **more)
    hand.begin(row)
    hand.feed(Segment(seq=1001, ack=5000 + LEN))
    return hand


def theirs(seq: int = 1001, data: bytes = b"", flags: int = ACK, ack: int = 5000 + LEN, **more: object) -> Segment:
    return Segment(seq=seq, ack=ack, flags=flags, data=data, **more)


def test_ack_and_payload_leave_in_one_segment() -> None:
    (first,) = Hand(payload=REQUEST).begin()
    assert (first.source, first.target, first.sport, first.dport) == (OURS, PEER, 40_000, 80)
    assert (first.seq, first.ack, first.flags, first.data) == (5000, 1001, ACK | PSH, REQUEST)
    assert first.window << 8 >= 65_535
    assert first.options == b""


def test_a_bare_ack_leaves_when_the_peer_speaks_first() -> None:
    (first,) = Hand().begin()
    assert (first.seq, first.ack, first.flags, first.data) == (5000, 1001, ACK, b"")


def test_a_banner_and_the_peers_end() -> None:
    hand = opened()
    assert hand.feed(theirs(data=b"hello ")) == []  # its ACK waits for company
    (last,) = hand.feed(theirs(1007, b"world", ACK | FIN))
    assert (last.flags, last.seq, last.ack) == (ACK | FIN, 5000 + LEN, 1013)
    ((row, data),) = hand.ended
    assert data == b"hello world"
    assert (row["closed_by"], row["phase"], row["failed"], row["timed_out"]) == (ended.PEER, ended.READ, 0, 0)
    assert (row["sent"], row["acked"], row["size"]) == (LEN, LEN, 11)
    assert hand.feed(theirs(1013, ack=5001 + LEN)) == []
    assert hand.open == 0
    check_table(hand.table)


@pytest.mark.parametrize(
    "order",
    [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1), (0, 2, 1), (1, 2, 0), (1, 1, 0, 0, 2), (2, 2, 1, 0)],
)
def test_any_order_gives_the_same_bytes(order: tuple[int, ...]) -> None:
    hand = opened()
    parts = [theirs(1001, b"abc"), theirs(1004, b"defg"), theirs(1008, b"hi", ACK | FIN)]
    for number in order:
        hand.feed(parts[number])
        check_table(hand.table)
    assert [data for _, data in hand.ended] == [b"abcdefghi"]


def test_overlap_gives_each_byte_once() -> None:
    hand = opened()
    for seq, data in ((1005, b"efgh"), (1003, b"cdef"), (1001, b"abcd"), (1001, b"abcdefghij")):
        hand.feed(theirs(seq, data))
    hand.feed(theirs(1011, b"", ACK | FIN))
    assert hand.ended[0][1] == b"abcdefghij"


def test_out_of_order_is_acknowledged_at_once() -> None:
    hand = opened()
    (answer,) = hand.feed(theirs(1004, b"x"))
    assert (answer.ack, answer.data) == (1001, b"")
    assert hand.counters["out_of_order"] == 1


def blocks(options: bytes) -> list[tuple[int, int]]:
    """Of the SACK option at the end of what an ACK bears, as offsets in the peer's text."""
    at = options.index(b"\x01\x01\x05") + 2
    size = options[at + 1] - 2
    words = struct.unpack(f"!{size // 4}I", options[at + 2 : at + 2 + size])
    assert at + 2 + size == len(options)
    return [(first - 1001, last - 1001) for first, last in zip(words[::2], words[1::2], strict=True)]


def test_what_is_held_is_told_the_newest_first() -> None:
    """RFC 2018 4. Without it a peer that speaks SACK waits for its timeout at every loss."""
    hand = opened()
    (first,) = hand.feed(theirs(1004, b"def"))
    assert blocks(first.options) == [(3, 6)]
    (second,) = hand.feed(theirs(1010, b"jk"))
    assert blocks(second.options) == [(9, 11), (3, 6)]
    (joined,) = hand.feed(theirs(1007, b"g"))
    assert blocks(joined.options) == [(3, 7), (9, 11)]
    (after,) = hand.feed(theirs(1001, b"abc"))
    assert (after.ack, blocks(after.options)) == (1008, [(9, 11)])
    (last,) = hand.feed(theirs(1008, b"hi"))
    assert (last.ack, last.options) == (1012, b"")


def test_beside_timestamps_there_is_room_for_three() -> None:
    hand = opened(half(has_ts=1, ts_val=5, ts_ecr=6))
    for number in range(4):
        (answer,) = hand.feed(dataclasses.replace(theirs(1003 + 4 * number, b"y"), stamp=(5 + number, 6)))
    assert answer.stamp is not None
    assert blocks(answer.options) == [(14, 15), (10, 11), (6, 7)]


def test_who_does_not_know_it_is_not_told() -> None:
    hand = opened(half(sack=0))
    (answer,) = hand.feed(theirs(1004, b"x"))
    assert answer.options == b""


def test_more_holes_than_are_held_come_again() -> None:
    hand = opened()
    for number in range(tcp.RANGES + 1):
        hand.feed(theirs(1003 + 4 * number, b"y"))
    assert hand.counters["not_held"] == 1
    text = bytes(range(65, 65 + 4 * (tcp.RANGES + 1)))
    hand.feed(theirs(1001, text, ACK | FIN))
    assert hand.ended[0][1][:2] == text[:2]
    assert len(hand.ended[0][1]) == len(text)


def test_every_second_segment_is_acknowledged_and_one_alone_soon() -> None:
    hand = opened()
    assert hand.feed(theirs(data=b"a")) == []
    (answer,) = hand.feed(theirs(1002, b"b"))
    assert answer.ack == 1003
    assert hand.feed(theirs(1003, b"c")) == []
    (answer,) = hand.wait(0.06)
    assert answer.ack == 1004


def test_a_keep_alive_is_answered() -> None:
    hand = opened()
    for data in (b"", b"\0"):
        (answer,) = hand.feed(theirs(1000, data))
        assert (answer.seq, answer.ack, answer.flags) == (5000 + LEN, 1001, ACK)
    assert hand.ended == []


def test_a_syn_ack_that_comes_again_has_our_first_segment_sent_again() -> None:
    hand = Hand(payload=REQUEST)
    (first,) = hand.begin()
    (again,) = hand.feed(Segment(seq=1000, ack=5000, flags=SYN | ACK))
    assert (again.seq, again.data, again.ack) == (first.seq, first.data, first.ack)
    hand = Hand()
    hand.begin()
    (again,) = hand.feed(Segment(seq=1000, ack=5000, flags=SYN | ACK))
    assert (again.seq, again.ack, again.flags) == (5000, 1001, ACK)


@pytest.mark.parametrize(
    ("segment", "answers"),
    [
        (theirs(1001, flags=RST), 0),  # the exact number: reset
        (theirs(1002, flags=RST), 1),  # within the window: a challenge (RFC 5961 3.2)
        (theirs(1000, flags=RST), 0),
        (theirs(1001 + (1 << 20), flags=RST), 0),
        (theirs(1001, flags=SYN), 1),  # RFC 5961 4.2
        (theirs(1001, flags=SYN | ACK), 1),
        (theirs(1001, flags=ACK, ack=5001 + LEN), 1),  # of what was never sent (5.2)
        (theirs(1001, flags=ACK, ack=(5000 - (1 << 30)) % (1 << 32)), 1),
        (theirs(1001, b"data", flags=0), 0),  # no ACK: dropped
        (theirs(1001 + (1 << 20), b"data"), 1),  # outside the window: where we are
        (theirs(900, b"data"), 1),
    ],
)
def test_what_is_not_acceptable_changes_nothing(segment: Segment, answers: int) -> None:
    hand = opened()
    before = hand.connection().copy()
    got = hand.feed(segment)
    assert len(got) == answers
    assert all((s.seq, s.ack, s.flags, s.data) == (5000 + LEN, 1001, ACK, b"") for s in got)
    if segment.flags & RST and segment.seq == 1001:
        ((row, _),) = hand.ended
        assert (row["errno"], row["failed"], row["closed_by"]) == (errno.ECONNRESET, 1, ended.PEER)
        assert hand.open == 0
    else:
        assert (before["una"], before["rcv"]) == (hand.connection()["una"], hand.connection()["rcv"])
        assert hand.ended == []
    check_table(hand.table)


def test_challenges_come_to_an_end() -> None:
    hand = opened()
    got = sum(len(hand.feed(theirs(1002, flags=RST))) for _ in range(2 * MAX_CHALLENGES))
    assert got == MAX_CHALLENGES


def test_a_wrong_checksum_is_dropped_where_it_is_meant_to_be_right() -> None:
    hand = opened()
    packet = bytearray(theirs(1001, b"hello").packet())
    packet[-1] ^= 1
    hand.feed(bytes(packet))
    assert (hand.counters["bad_checksums"], hand.connection()["rcv"]) == (1, 1001)
    hand.feed(bytes(packet), finished=False)
    assert hand.connection()["rcv"] == 1006


def test_the_limit_ends_it() -> None:
    hand = opened(max_bytes=8)
    hand.feed(theirs(data=b"12345678"))
    assert hand.ended == []
    (last,) = hand.feed(theirs(1009, b"9"))
    assert last.flags & FIN
    ((row, data),) = hand.ended
    assert (data, row["truncated"], row["closed_by"], row["size"]) == (b"12345678", 1, ended.US, 8)
    (answer,) = hand.feed(theirs(1010, b"more"))  # for nobody (RFC 1122 4.2.2.13)
    assert answer.flags & RST
    assert hand.open == 0


def test_timestamps_go_on_from_the_syn() -> None:
    hand = Hand(payload=REQUEST)
    (first,) = hand.begin(half(has_ts=1, ts_val=777, ts_ecr=(1 << 32) - 3))
    assert first.stamp == ((1 << 32) - 3, 777)
    hand.now += 5000
    hand.feed(theirs(data=b"a", stamp=(800, 2)))
    (answer,) = hand.feed(theirs(1002, data=b"b", stamp=(801, 2)))
    assert answer.stamp == (2, 800)  # the oldest that is not acknowledged (RFC 7323 4.3)


def test_an_old_timestamp_is_a_duplicate() -> None:
    hand = Hand(payload=REQUEST)
    hand.begin(half(has_ts=1, ts_val=777, ts_ecr=5))
    hand.feed(theirs(data=b"a", stamp=(800, 5)))
    (answer,) = hand.feed(theirs(1002, data=b"old", stamp=(799, 5)))  # PAWS (RFC 7323 5.3)
    assert answer.ack == 1002
    assert hand.connection()["rcv"] == 1002


def test_simultaneous_close() -> None:
    hand = opened(idle=0.1)
    hand.feed(theirs(data=b"bye"))
    fin = [s for s in hand.wait(0.2) if s.flags & FIN]
    assert len(fin) == 1
    (answer,) = hand.feed(theirs(1004, flags=ACK | FIN))  # it has not seen ours
    assert (answer.ack, answer.flags & RST) == (1005, 0)
    assert hand.open == 1
    hand.feed(theirs(1005, ack=5001 + LEN))
    assert hand.open == 0


def test_a_stray_of_a_closed_connection_is_reset_and_what_was_never_ours_is_not_touched() -> None:
    hand = opened(close="rst", idle=0.1)
    hand.feed(theirs(data=b"hello"))
    (last,) = hand.wait(0.2)
    assert last.flags & RST
    assert (last.seq, hand.open) == (5000 + LEN, 0)
    (answer,) = hand.feed(theirs(1006, b"more"))
    assert (answer.flags, answer.seq) == (RST, 5000 + LEN)
    for other in (theirs(1006, b"x", sport=81), theirs(1006, b"x", dport=40_001), theirs(1006, b"x", source=PEER + 1)):
        assert hand.feed(other) == []
    assert hand.feed(theirs(1006, flags=RST)) == []
    assert hand.feed(theirs(77_000, flags=SYN | ACK)) == []  # of another SYN from the same port: not ours to end
    (answer,) = hand.feed(theirs(1000, flags=SYN | ACK))
    assert answer.flags == RST


def test_a_fin_that_comes_again_gets_the_last_ack() -> None:
    hand = opened()
    hand.feed(theirs(1001, b"hello", ACK | FIN))
    hand.feed(theirs(1007, ack=5001 + LEN))
    assert hand.open == 0
    (answer,) = hand.feed(theirs(1006, flags=ACK | FIN, ack=5001 + LEN))
    assert (answer.flags, answer.seq, answer.ack) == (ACK, 5001 + LEN, 1007)


def test_bytes_for_a_dialogue_are_handed_over_in_order() -> None:
    hand = Hand()
    slot = hand.begin_dialogue()
    hand.obey(slot, b"hi", say_at=hand.now + 10**6, total_at=hand.now + 10**7)
    ack = 5002
    for seq, data in ((1004, b"def"), (1001, b"ab"), (1003, b"c"), (1007, b"g")):
        hand.feed(theirs(seq, data, ack=ack))
        check_table(hand.table)
    hand.feed(theirs(1008, b"h", ACK | FIN, ack=ack), theirs(1008, b"h", ACK | FIN, ack=ack))
    assert b"".join(data for _, _, data in hand.events) == b"abcdefgh"
    assert [kind for _, kind, _ in hand.events][-1] == tcp.EOF
    assert hand.table.now[tcp.CHUNKS_USED] == 0 or hand.connection()["out_head"] >= 0
    (fin,) = hand.obey(slot, b"", close=tcp_talking.WITH_FIN)
    assert (fin.flags & FIN, fin.seq) == (FIN, 5002)
    hand.feed(theirs(1010, ack=5003))
    assert hand.open == 0
    check_table(hand.table)


def test_bytes_behind_a_fin_are_nobodys() -> None:
    """A peer that contradicts itself. RCV.NXT once went back to its FIN and what came next was written before its
    place."""
    hand = Hand()
    slot = hand.begin_dialogue()
    hand.obey(slot, b"", say_at=hand.now + 10**6, total_at=hand.now + 10**7)
    hand.feed(theirs(1004, flags=ACK | FIN, ack=5000))
    (answer,) = hand.feed(theirs(1001, b"abcdefghij", ack=5000))
    assert answer.ack == 1005
    for seq in (1010, 1005, 1006, 1012):
        hand.feed(theirs(seq, b"xyz", ack=5000))
        check_table(hand.table)
    assert [(kind, data) for _, kind, data in hand.events] == [(tcp.DATA, b"abc"), (tcp.EOF, b"")]
    assert hand.table.now[tcp.CHUNKS_USED] == 0


def test_a_fin_in_the_middle_of_what_was_held() -> None:
    hand = Hand()
    slot = hand.begin_dialogue()
    hand.obey(slot, b"", say_at=hand.now + 10**6, total_at=hand.now + 10**7)
    for part in (theirs(1003, b"cdefgh", ack=5000), theirs(1005, flags=ACK | FIN, ack=5000)):
        hand.feed(part)
    (answer,) = hand.feed(theirs(1001, b"ab", ack=5000))
    assert answer.ack == 1009  # never back, and on from here there is nothing to come
    for seq in (1012, 1006, 1009):
        hand.feed(theirs(seq, b"xyz", ack=5000))
        check_table(hand.table)
    assert [(kind, data) for _, kind, data in hand.events] == [(tcp.DATA, b"abcdefgh"), (tcp.EOF, b"")]
    assert hand.table.now[tcp.CHUNKS_USED] == 0


def test_a_reset_tells_the_dialogue() -> None:
    hand = Hand()
    slot = hand.begin_dialogue()
    hand.obey(slot, b"", say_at=hand.now + 10**6)
    hand.feed(theirs(1001, b"x", ack=5000), theirs(1002, flags=RST))
    assert [(kind, data) for _, kind, data in hand.events] == [(tcp.DATA, b"x"), (tcp.RESET, b"")]
    assert hand.open == 0
