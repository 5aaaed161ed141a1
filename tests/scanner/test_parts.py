"""A mixed scan's list of parts: what may stand in it, and the slots of its space."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.parts import MAX_PARTS, Part, check_parts, identity, parse_part, slots


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("tcp_synscan:80,443", Part("tcp_synscan", (80, 443))),
        ("tcp_synscan:80 linux", Part("tcp_synscan", (80,), "linux")),
        ("icmp_echoscan", Part("icmp_echoscan", (0,))),
        ("icmp_echoscan text:a b", Part("icmp_echoscan", (0,), "text:a b")),
        ("dns:53 A,example.com;MX,a.example", Part("dns", (53,), "A,example.com;MX,a.example")),
        ("udp:1-3", Part("udp", (1, 2, 3))),
    ],
)
def test_parts_are_read_and_written(text: str, part: Part) -> None:
    assert parse_part(text) == part
    assert parse_part(part.text()) == part


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tcp_synscan", "tcp_synscan:PORTS"),
        ("tcp_synscan:", "tcp_synscan:PORTS"),
        ("icmp_echoscan:80", "has no ports, not '80'"),
        ("tcp:80", "unknown probe module 'tcp'"),
        ("udp:53,x", "'x' is not a port"),
        ("udp:70000", "'70000' is above"),
    ],
)
def test_what_is_no_part(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_part(text)


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (("udp:53,123", "dns:53"), "udp and dns both have udp port 53"),
        (("icmp_echoscan", "icmp_echo_time"), "icmp_echoscan and icmp_echo_time both have icmp"),
        (("tcp_synscan:80", "tcp_synscan:81"), "named twice"),
        (("tcp_synscan:80", "tcp_synackscan:80-81"), "tcp_synscan and tcp_synackscan both have tcp port 80"),
        (tuple(f"udp:{n}" for n in range(MAX_PARTS + 1)), f"{MAX_PARTS} at most"),
    ],
)
def test_an_answer_tells_its_part(texts: tuple[str, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check_parts([parse_part(text) for text in texts])


def test_the_slots_of_one_part_are_its_ports() -> None:
    part = parse_part("tcp_synscan:80,443")
    assert slots([part]) == (80, 443)
    assert identity([part]) == ("tcp_synscan", "80,443", "")
    assert identity([parse_part("icmp_echoscan")]) == ("icmp_echoscan", "", "")


def test_slots_and_identity_of_several() -> None:
    parts = [parse_part(text) for text in ("tcp_synscan:80", "udp:80,53", "icmp_echoscan text:x")]
    check_parts(parts)
    assert slots(parts) == (80, 1 << 16 | 53, 1 << 16 | 80, 2 << 16)
    assert identity(parts) == ("tcp_synscan+udp+icmp_echoscan", "80+53,80+-", " +  + text:x")


@given(st.lists(st.sampled_from(("tcp_synscan:1-9", "udp:1-9", "icmp_echoscan", "dns:10")), unique=True, min_size=1))
def test_each_target_has_a_slot_of_its_own(texts: list[str]) -> None:
    parts = [parse_part(text) for text in texts]
    check_parts(parts)
    found = slots(parts)
    assert len(set(found)) == len(found) == sum(len(part.ports) for part in parts)
    assert [(slot >> 16, slot & 0xFFFF) for slot in found] == [
        (number, port) for number, part in enumerate(parts) for port in part.ports
    ]
