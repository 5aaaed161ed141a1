"""Answers of a mixed scan: each is of its own part, in records and in fields."""

from __future__ import annotations

import json

import pytest

from stages.scanner.answers import BY_ECHO, BY_IP_ID, BY_NUMBER, ECHOREPLY, ICMP, RST, SYNACK, UDP
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.mixed_answers import MixedHitLines, lines_of, mixed_fields, part_finder
from stages.scanner.parts import parse_part
from stages.scanner.rows import Answer, connected, transport_of

PARTS = [parse_part(text) for text in ("tcp_synscan:80", "udp:80", "dns:53 A,a.example", "icmp_echoscan")]
ANSWERS = [
    (SYNACK, 80, BY_NUMBER, 0), (RST, 80, BY_NUMBER, 0), (ICMP, 80, BY_NUMBER, 0),
    (UDP, 80, 0, 1), (ICMP, 80, BY_IP_ID, 1), (UDP, 53, 0, 2), (ICMP, 53, BY_IP_ID, 2),
    (ECHOREPLY, 0, BY_ECHO, 3), (ICMP, 0, BY_ECHO, 3),
]  # fmt: skip


def answer(kind: int, port: int, bound: int) -> Answer:
    return connected(0x01020304, port, kind, ts=1, rtt=None, icmp=(3, 3))._replace(
        bound=bound, seq=7, ack=8, window=9, ipid=10
    )


@pytest.mark.parametrize(("kind", "port", "bound", "part"), ANSWERS)
def test_an_answer_tells_its_part(kind: int, port: int, bound: int, part: int) -> None:
    one = answer(kind, port, bound)
    assert part_finder(PARTS)(one) == part
    assert transport_of(one) == PARTS[part].transport


@pytest.mark.parametrize(("kind", "port", "bound", "part"), ANSWERS)
def test_a_hit_is_the_one_that_its_part_alone_would_make(kind: int, port: int, bound: int, part: int) -> None:
    one, source = answer(kind, port, bound), HitSource("s", "a+b", "tcp")
    lines = lines_of(HitLines(source), PARTS)
    assert isinstance(lines, MixedHitLines)
    alone = HitLines(HitSource("s", PARTS[part].probe, PARTS[part].transport))
    assert lines.line(one) == alone.line(one)
    assert lines.lines([one]) == [alone.line(one)]
    assert lines.keyed([one]) == alone.keyed([one])
    assert json.loads(lines.line(one))["probe"] == PARTS[part].probe


def test_one_part_needs_nothing() -> None:
    lines = HitLines(HitSource("s", "udp", "udp"))
    assert lines_of(lines, PARTS[:1]) is lines


def test_fields_are_those_of_all_parts() -> None:
    names = [field.name for field in mixed_fields("*", PARTS)]
    assert len(names) == len(set(names))
    assert {"seqnum", "udp_pkt_size", "dns_id", "icmp_id", "proto"} <= set(names)
    assert [field.name for field in mixed_fields(None, PARTS)] == ["saddr", "sport", "proto"]


def test_a_field_of_another_part_is_unknown() -> None:
    (kind, seq) = mixed_fields("classification,seqnum", PARTS)
    tcp, echo = answer(SYNACK, 80, BY_NUMBER)._replace(seq=7), answer(ECHOREPLY, 0, BY_ECHO)._replace(icmp_type=0)
    assert (seq.get(tcp), seq.get(echo)) == (7, None)
    assert (kind.get(tcp), kind.get(echo)) == ("synack", "echoreply")
    with pytest.raises(ValueError, match="did you mean 'seqnum'"):
        mixed_fields("seqnun", PARTS)
