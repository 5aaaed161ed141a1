"""Values as masscan's users write them."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from stages.cli.masscan import values
from stages.cli.masscan.values import TOP_PORTS, parse_port_list
from stages.scanner.ports import parse_ports
from tests.require import require


@pytest.mark.parametrize(
    ("text", "tcp", "udp", "ping"),
    [
        ("80", {80}, set(), False),
        ("80,443,8000-8002", {80, 443, 8000, 8001, 8002}, set(), False),
        ("80,U:53,U:161", {80}, {53, 161}, False),
        ("U:53,111,T:21-23", {21, 22, 23}, {53, 111}, False),  # a prefix holds until the next
        ("t:1,u:2,i:0", {1}, {2}, True),
        ("65530-", set(range(65530, 65536)), set(), False),
        ("-2", {0, 1, 2}, set(), False),
        ("U:-1", set(), {0, 1}, False),
        (" 80 , 81 ", {80, 81}, set(), False),
    ],
)
def test_ports(text: str, tcp: set[int], udp: set[int], ping: bool) -> None:
    assert parse_port_list(text) == (tcp, udp, ping)


def test_all_ports() -> None:
    assert parse_port_list("-")[0] == parse_port_list("0-65535")[0] == set(range(65536))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no port at all"),
        ("80,", "'' is no port"),
        ("80,abc", "'abc' is not a port"),
        ("100-90", "'100-90' is an inverted range"),
        ("70000", "'70000' is above"),
        ("S:36412", "SCTP scans are not what Longline does"),
        ("O:6", "IP protocol scans"),
        ("X:6", "'X:6': the prefixes are T:, U: and I:"),
    ],
)
def test_what_is_no_list_of_ports(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_port_list(text)


def test_the_most_open_ports() -> None:
    assert values.top_ports("3") == {80, 23, 443}
    assert len(values.top_ports("")) == 20
    assert len(set(TOP_PORTS)) == len(TOP_PORTS) == 1000
    for text in ("0", "1001", "x"):
        with pytest.raises(ValueError, match=r"no port|above 1000|whole number"):
            values.top_ports(text)


def test_a_thousand_of_them_are_those_of_masscan() -> None:
    require(shutil.which("masscan"), "needs Debian's masscan")
    argv = ["masscan", "127.0.0.1", "--top-ports", "1000", "--echo"]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout
    theirs = next(line.partition("=")[2].strip() for line in told.splitlines() if line.startswith("ports"))
    assert values.top_ports("1000") == set(parse_ports(theirs))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", ["10.0.0.1"]),
        ("10.0.0.7/24", ["10.0.0.0/24"]),
        ("10.0.0.1-10.0.0.9,10.1.0.0/16", ["10.0.0.1-10.0.0.9", "10.1.0.0/16"]),
        ("[2001:db8::1],fd00::/124", ["2001:db8::1", "fd00::/124"]),
        ("0.0.0.0-255.255.255.255", ["0.0.0.0-255.255.255.255"]),
    ],
)
def test_ranges(text: str, found: list[str]) -> None:
    assert values.parse_ranges(text) == found


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("example.com", "masscan takes no names"),
        ("10.0.0.9-10.0.0.1", "inverted"),
        ("10.0.0.1-fd00::1", "inverted"),
        ("10.0.0.0/33", "33"),
        ("10.0.0.1,,10.0.0.2", "empty item"),
        ("10.0.0-255.1", "'10.0.0' does not appear"),
    ],
)
def test_what_is_no_range(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        values.parse_ranges(text)


@pytest.mark.parametrize(
    ("read", "text", "found"),
    [
        (values.parse_shard, "1/3", (1, 3)),
        (values.parse_time, "3600", 3600.0),
        (values.parse_time, "1hour", 3600.0),
        (values.parse_time, "hourly", 3600.0),
        (values.parse_time, "60min", 3600.0),
        (values.parse_time, "2 days", 172_800.0),
        (values.parse_size, "10k", 10_240),
        (values.parse_size, "1gb", 1 << 30),
        (values.parse_rate, "0.1", 0.1),
        (values.parse_rate, " 100000.00", 100_000.0),
        (values.parse_bool, "", True),
        (values.parse_bool, "No", False),
        (values.cidrs, "10.0.0.0-10.0.0.2", ["10.0.0.0/31", "10.0.0.2/32"]),
        (values.cidrs, "10.0.0.0/8", ["10.0.0.0/8"]),
    ],
)
def test_others(read: Any, text: str, found: Any) -> None:
    assert read(text) == found


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (values.parse_shard, "0/3"),
        (values.parse_shard, "4/3"),
        (values.parse_shard, "3"),
        (values.parse_shard, "a/b"),
        (values.parse_time, "soon"),
        (values.parse_time, "5 parsecs"),
        (values.parse_size, "0"),
        (values.parse_size, "1.5g"),
        (values.parse_rate, "0"),
        (values.parse_rate, "-5"),
        (values.parse_rate, "nan"),
        (values.parse_rate, "1e5"),
        (values.parse_bool, "maybe"),
        (lambda t: values.source_range(t, "port"), "9-5"),
        (lambda t: values.source_range(t, "address"), "10.0.0.9-10.0.0.1"),
        (lambda t: values.whole(t, 9), "10"),
    ],
)  # fmt: skip
def test_what_is_none(read: Any, text: str) -> None:
    with pytest.raises(ValueError):
        read(text)
