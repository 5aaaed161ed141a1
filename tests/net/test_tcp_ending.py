"""The end of a conversation and of its connection: by FIN or RST, asked for or not."""

from __future__ import annotations

import pytest

from stages.net import ended, tcp
from tests.servers.tcp_table import ACK, FIN, RST, Hand, Segment, check_table

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("close", ["fin", "rst"])
def test_closed_as_asked(close: str) -> None:
    hand = Hand(payload=b"ask", close=close, idle=0.2)
    hand.begin()
    hand.feed(Segment(seq=1001, ack=5003, data=b"answer"))
    last = hand.wait(0.3)[-1]
    assert (last.seq, last.ack) == (5003, 1007)
    if close == "rst":
        assert last.flags == RST | ACK
    else:
        assert last.flags == FIN | ACK
        (answer,) = hand.feed(Segment(seq=1007, ack=5004, flags=ACK | FIN))
        assert (answer.ack, answer.flags) == (1008, ACK)
    assert hand.open == 0
    check_table(hand.table)


def test_a_lost_fin_comes_again() -> None:
    hand = Hand(idle=0.2)
    hand.begin()
    hand.feed(Segment(seq=1001, ack=5000, data=b"answer"))
    fins = [s for _ in range(8) for s in hand.wait(0.2) if s.flags & FIN]
    assert len(fins) >= 2
    assert {s.seq for s in fins} == {5000}


def test_after_the_end_the_peers_fin_is_acknowledged_and_nothing_is_told_twice() -> None:
    hand = Hand(idle=0.2)
    hand.begin()
    hand.feed(Segment(seq=1001, ack=5000, data=b"answer"))
    hand.wait(0.3)
    hand.feed(Segment(seq=1007, ack=5001))
    (answer,) = hand.feed(Segment(seq=1007, ack=5001, flags=ACK | FIN))
    assert answer.ack == 1008
    assert len(hand.ended) == 1
    assert hand.ended[0][0]["closed_by"] == ended.US
    assert hand.table.now[tcp.CHUNKS_USED] == 0
