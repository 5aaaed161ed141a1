from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.ports import parse_port_range, parse_ports, ports_text


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", (80,)),
        ("0", (0,)),  # a valid target of a scan
        ("443,80", (80, 443)),
        ("80,80", (80,)),  # probed once
        ("80, 443 , 8000-8002", (80, 443, 8000, 8001, 8002)),
        ("8000-8000", (8000,)),
        ("65535", (65535,)),
        ("1-3,2-5", (1, 2, 3, 4, 5)),
    ],
)
def test_lists_and_ranges(text: str, ports: tuple[int, ...]) -> None:
    assert parse_ports(text) == ports


def test_a_star_is_every_port_with_port_0() -> None:
    assert parse_ports("*") == tuple(range(65536))
    assert ports_text(parse_ports("*")) == "*"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("70000", "'70000' is above the largest port"),
        ("abc", "'abc' is not a port"),
        ("80,abc", "'abc' is not a port"),  # ZMap scans port 0 then
        ("100-90", "'100-90' is an inverted range"),
        ("80,", "'' is not a port"),
        ("", "'' is not a port"),
        ("-1", "'-1' is not a port"),
        ("1-", "'1-' is not a port"),
        ("1-2-3", "'1-2-3' is not a port"),
        ("80-70000", "'80-70000' is above"),
        ("+80", "is not a port"),
        ("8_0", "is not a port"),
        ("٨٠", "is not a port"),  # Arabic digits: int() would take them
        ("80.5", "is not a port"),
    ],
)
def test_errors_name_the_item(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_ports(text)


@given(st.sets(st.integers(0, 65535), min_size=1, max_size=300))
def test_text_is_the_inverse_of_parse(ports: set[int]) -> None:
    assert parse_ports(ports_text(tuple(sorted(ports)))) == tuple(sorted(ports))


@given(st.text(max_size=20))
def test_any_text_is_ports_or_a_value_error(text: str) -> None:
    try:
        ports = parse_ports(text)
    except ValueError:
        return
    assert ports
    assert all(0 <= port <= 65535 for port in ports)


@pytest.mark.parametrize(("text", "pair"), [("40000", (40000, 40000)), (" 40000-50000 ", (40000, 50000))])
def test_source_ports(text: str, pair: tuple[int, int]) -> None:
    assert parse_port_range(text) == pair


@pytest.mark.parametrize("text", ["50000-40000", "70000", "x", "1-2-3", ""])
def test_bad_source_ports(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|range"):
        parse_port_range(text)
