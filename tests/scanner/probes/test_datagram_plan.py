from __future__ import annotations

import pytest

from stages.proto.cookie import Cookie
from stages.proto.payloads import First
from stages.proto.template import Template, Values
from stages.scanner.probes.datagram_plan import MAX_PAYLOAD, Payloads
from stages.scanner.probes.randoms import BYTES, DADDR, LITERAL


def first(text: str, **more: object) -> First:
    return First("x", (), Template.parse(text.encode()), **more)  # type: ignore[arg-type]


def test_arrays() -> None:
    payloads = Payloads(
        (first("ab${RAND_BYTE=9}c"), first("")),
        {53: (first("${DADDR}", expect=b"yes", expect_at=2), first("${RAND_BYTE=2}", cookie=Cookie(0, 4)))},
    )
    plans = payloads.plans()
    assert plans.steps == 2
    assert plans.spans.tolist() == [[0, 3], [3, 3], [3, 4], [4, 5]]
    assert plans.parts.tolist() == [[LITERAL, 0, 2], [BYTES, 0, 9], [LITERAL, 2, 1], [DADDR, 0, 15], [BYTES, 0, 2]]
    assert plans.cookies.tolist() == [[-1, 0, 0, -1, 0]] * 3 + [[BYTES, 0, 2, 4, 16]]
    assert plans.expects[2].tolist() == [3, 3, 2]
    assert bytes(plans.literals[:6]) == b"abcyes"
    assert plans.literals.size >= 6 + 8
    assert plans.words.shape == (1, plans.literals.size // 8)
    assert (plans.of_port[53], plans.of_port[52], plans.of_port.size) == (2, 0, 65536)
    assert payloads.render(Values(1, 0x0A000001, 3, 53, 5), 0) == b"10.0.0.1"
    assert payloads.render(Values(1, 2, 3, 54, 5), 3) == b""


def test_what_all_packets_have_in_common() -> None:
    assert Payloads((first("same"),), {}).constant == b"same"
    assert Payloads((first("same"),), {1: (first("same"),)}).constant is None
    assert Payloads((first("${DPORT}"),), {}).constant is None
    assert Payloads((first("${DPORT_N}"), first("ab")), {}).one_length
    assert not Payloads((first("${DPORT}"),), {}).one_length
    assert not Payloads((first("a"),), {1: (first("ab"),)}).one_length


def test_a_payload_must_fit() -> None:
    assert Payloads((first("x" * MAX_PAYLOAD),), {}).max_length == 1472
    with pytest.raises(ValueError, match="a payload of up to 1473 bytes; 1472 fit"):
        Payloads((first("x" * 1469 + "${DADDR_N}"),), {})
