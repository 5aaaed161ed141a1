"""Opening and saying: room, doubles, what a dialogue has to say, and giving up."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from stages.net import tcp, tcp_talking
from tests.servers.tcp_table import ACK, FIN, RST, START_US, WALL_US, Hand, Segment, check_table, half

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


def several(count: int) -> np.ndarray:
    rows = np.concatenate([half(own_port=40_000 + i, tag=i) for i in range(count)])
    return rows


def test_no_more_than_there_is_room_for() -> None:
    hand = Hand(4, payload=b"x")
    assert tcp_talking.open_fixed(hand.table, several(6), 0, hand.now, WALL_US) == 4
    assert len(hand.out()) == 4
    assert tcp_talking.open_fixed(hand.table, several(6), 4, hand.now, WALL_US) == 4


def test_a_double_is_refused_and_told() -> None:
    hand = Hand(4, payload=b"x")
    hand.begin(half(tag=1))
    assert hand.begin(half(tag=2)) == []
    ((row, _),) = hand.ended
    assert (row["tag"], row["errno"], row["failed"], row["left_host"]) == (2, errno.EADDRINUSE, 1, 0)
    slots = np.zeros(1, np.int64)
    assert tcp_talking.open_dialogues(hand.table, half(), slots, START_US, WALL_US) == 1
    assert slots[0] == tcp_talking.EXISTS


def test_what_is_said_leaves_in_order_and_its_chunks_come_back() -> None:
    hand = Hand()
    slot = hand.begin_dialogue()
    text = bytes(i % 256 for i in range(5000))
    sent = hand.obey(slot, text[:1500]) + hand.obey(slot, text[1500:1501]) + hand.obey(slot, text[1501:])
    ack = 5000
    while ack < 10_000:
        ack += 700
        sent += hand.feed(Segment(seq=1001, ack=min(ack, 10_000)))
        check_table(hand.table)
    said = {s.seq: s.data for s in sent}
    assert b"".join(data for _, data in sorted(said.items())) == text
    assert hand.table.now[tcp.CHUNKS_USED] <= 1
    (fin,) = hand.obey(slot, close=tcp_talking.WITH_FIN)
    assert fin.flags == FIN | ACK


def test_last_words_leave_with_the_fin() -> None:
    hand = Hand()
    slot = hand.begin_dialogue()
    (last,) = hand.obey(slot, b"QUIT\r\n", close=tcp_talking.WITH_FIN)
    assert (last.data, last.flags & FIN) == (b"QUIT\r\n", FIN)


def test_words_that_find_no_room_are_told() -> None:
    hand = Hand(chunks=1)
    slot = hand.begin_dialogue()
    hand.obey(slot, bytes(5000))
    assert (slot, tcp_talking.NO_ROOM, b"") in hand.events
    check_table(hand.table)


def test_all_are_reset() -> None:
    hand = Hand(4, payload=b"x")
    hand.begin(several(3))
    assert tcp_talking.abort_every(hand.table, 0) == 3
    assert [s.flags & RST for s in hand.out()] == [RST] * 3
    assert (hand.open, hand.ended) == (0, [])


def test_half_open_ones_are_reset_unless_they_are_open() -> None:
    hand = Hand(4, payload=b"x")
    hand.begin(half(own_port=40_001))
    assert tcp_talking.reset_half(hand.table, several(3), 0) == 3
    assert [(s.sport, s.seq, s.flags) for s in hand.out()] == [(40_000, 5000, RST), (40_002, 5000, RST)]
