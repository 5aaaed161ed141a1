"""Control ports: one SYN for each host, and a SYN-ACK to it marks the connection; nobody else's does."""

from __future__ import annotations

import pytest

from stages.net import tcp
from tests.servers.tcp_table import ACK, PEER, RST, SYN, Hand, Segment, half

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


def asked(hand: Hand, **more: int) -> tuple[Segment, list[Segment]]:
    sent = hand.begin(half(**more))
    (syn,) = [s for s in sent if s.flags == SYN]
    return syn, [s for s in sent if s.flags != SYN]


def test_a_host_that_answers_is_marked_and_reset() -> None:
    hand = Hand(payload=b"x", control=99, first=0.1)
    syn, (first,) = asked(hand)
    assert (syn.target, syn.sport, syn.seq & 0xFFFF, syn.data) == (PEER, 40_000, 80, b"")
    assert syn.dport not in (80, first.dport)
    assert syn.dport >= 1024
    (answer,) = hand.feed(Segment(sport=syn.dport, seq=7, ack=syn.seq + 1, flags=SYN | ACK))
    assert (answer.flags, answer.seq, answer.dport) == (RST, (syn.seq + 1) % (1 << 32), syn.dport)
    hand.wait(0.2)
    assert hand.ended[0][0]["control"] == 1
    assert (hand.counters["control_sent"], hand.counters["control_seen"]) == (1, 1)


@pytest.mark.parametrize("change", [{"ack": 1}, {"sport": 1}, {"source": 1}, {"dport": 1}])
def test_another_answer_is_none(change: dict[str, int]) -> None:
    hand = Hand(payload=b"x", control=99)
    syn, _ = asked(hand)
    right = {"source": PEER, "sport": syn.dport, "dport": 40_000, "ack": syn.seq + 1}
    wrong = right | {name: right[name] + 0x10000 * (name == "ack") + 1 for name in change}
    assert hand.feed(Segment(seq=7, flags=SYN | ACK, **wrong)) == []
    assert hand.connection()["flags"] & tcp.CONTROL == 0


def test_all_connections_to_a_host_that_answers_are_marked() -> None:
    hand = Hand(payload=b"x", control=99, first=0.1)
    syn, _ = asked(hand)
    hand.begin(half(own_port=40_001, peer_port=81))  # before the answer
    hand.feed(Segment(sport=syn.dport, seq=7, ack=syn.seq + 1, flags=SYN | ACK))
    hand.begin(half(own_port=40_002, peer_port=82))
    asked(hand, peer=PEER + 1)
    hand.wait(0.2)
    told = {(int(row["peer"]), int(row["peer_port"])): int(row["control"]) for row, _ in hand.ended}
    assert told == {(PEER, 80): 1, (PEER, 81): 1, (PEER, 82): 1, (PEER + 1, 80): 0}


def test_a_host_is_asked_once() -> None:
    hand = Hand(payload=b"x", control=99)
    asked(hand)
    assert not [s for s in hand.begin(half(own_port=40_001, peer_port=81)) if s.flags == SYN]
    asked(hand, peer=PEER + 1)
