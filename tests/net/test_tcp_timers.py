"""What is due: retransmission, back-off, and the deadlines of a conversation."""

from __future__ import annotations

import errno
from itertools import pairwise

import pytest

from stages.net import ended, tcp
from stages.net.tcp_output import TRIES
from tests.servers.tcp_table import ACK, FIN, RST, Hand, Segment, half

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


def test_what_is_not_acknowledged_comes_again_ever_later() -> None:
    hand = Hand(payload=b"hello", first=1000, total=1000)
    hand.begin()
    times = []
    for _ in range(20_000):
        for again in hand.wait(0.01):
            assert (again.seq, again.data) == (5000, b"hello")
            times.append(hand.now)
    gaps = [b - a for a, b in pairwise(times)]
    assert len(times) == TRIES
    assert all(1.8 < b / a < 2.2 for a, b in pairwise(gaps[:5]))


def test_after_a_loss_all_is_sent_again_as_the_acks_come() -> None:
    hand = Hand(payload=bytes(4000), first=100)
    assert len(hand.begin()) == 3
    (again,) = hand.wait(0.3)
    assert again.seq == 5000
    more = hand.feed(Segment(seq=1001, ack=6460))
    assert [s.seq for s in more] == [6460, 7920]
    assert hand.feed(Segment(seq=1001, ack=9000)) == []
    assert hand.wait(5) == []


def test_three_duplicate_acks_have_the_first_segment_sent_again() -> None:
    hand = Hand(payload=bytes(8000))
    hand.begin()
    hand.feed(Segment(seq=1001, ack=6460))
    answers = [hand.feed(Segment(seq=1001, ack=6460)) for _ in range(4)]
    assert [[s.seq for s in part] for part in answers] == [[], [], [6460], []]


@pytest.mark.parametrize(
    ("heard", "payload", "phase"), [(False, b"x", ended.WRITE), (True, b"x", ended.READ), (False, b"", ended.READ)]
)
def test_no_byte_in_time(heard: bool, payload: bytes, phase: int) -> None:
    """A middlebox that never acknowledges a byte is told from a silent host."""
    hand = Hand(payload=payload, first=2.0)
    hand.begin()
    if heard:
        hand.feed(Segment(seq=1001, ack=5001))
    hand.wait(1.9)
    assert hand.ended == []
    hand.wait(0.2)
    ((row, data),) = hand.ended
    assert (row["timed_out"], row["closed_by"], row["phase"], data) == (1, ended.US, phase, b"")
    assert row["ended"] == pytest.approx(2.01, abs=0.2)


def test_idle_and_total() -> None:
    hand = Hand(idle=1.0, total=3.0)
    hand.begin()
    seq = 1001
    while not hand.ended:
        hand.feed(Segment(seq=seq, ack=5000, data=b"."))
        seq += 1
        hand.wait(0.5)
    ((row, data),) = hand.ended
    assert (row["timed_out"], data) == (1, b"......")
    hand = Hand(idle=1.0, total=30.0)
    hand.begin()
    hand.feed(Segment(seq=1001, ack=5000, data=b"."))
    hand.wait(1.1)
    assert hand.ended[0][1] == b"."


@pytest.mark.parametrize("speaks", [True, False])
def test_the_peer_may_speak_first(speaks: bool) -> None:
    hand = Hand(payload=b"mine", wait=1.0, first=2.0)
    (bare,) = hand.begin()
    assert bare.data == b""
    if speaks:
        hand.feed(Segment(seq=1001, ack=5000, data=b"theirs"))
    said = [s.data for s in hand.wait(1.1) if s.data]
    assert said == ([] if speaks else [b"mine"])


def test_a_peer_that_does_not_close_is_reset_in_the_end() -> None:
    hand = Hand(idle=0.1)
    hand.begin()
    hand.feed(Segment(seq=1001, ack=5000, data=b"."))
    assert [s.flags & FIN for s in hand.wait(0.2) if s.flags & FIN]
    hand.feed(Segment(seq=1002, ack=5001))
    assert hand.open == 1
    assert [s.flags & RST for s in hand.wait(5)] == [RST]
    assert hand.open == 0


def test_bytes_that_found_no_room_make_it_our_own_failure() -> None:
    hand = Hand(chunks=1, idle=1.0, own_wscale=-1)
    hand.begin()
    hand.feed(Segment(seq=1001, ack=5000, data=bytes(1000)))
    hand.feed(Segment(seq=2001, ack=5000, data=bytes(1000)))
    hand.wait(2)
    ((row, data),) = hand.ended
    assert (row["errno"], row["failed"], len(data)) == (errno.ENOBUFS, 1, tcp.CHUNK)
    assert hand.counters["evicted"] == 1


def test_an_object_is_told_and_asked() -> None:
    hand = Hand()
    slot = hand.begin_dialogue(half())
    hand.obey(slot, b"", say_at=hand.now + 10**6, total_at=hand.now + 5 * 10**6)
    hand.wait(1.01)
    assert hand.events == [(slot, tcp.EXPIRED, b"")]
    (said,) = hand.obey(slot, b"more", say_at=hand.now + 10**6)
    assert (said.data, said.flags & ACK) == (b"more", ACK)
