"""Whose the scan's source ports are: what the kernel says of a namespace of our own, and of its sockets."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from stages.net import ownports
from stages.net.ownports import PortsInUse, Use
from tests.servers.inside import Inside, inside
from tests.servers.veth import FAR, NEAR, Veth, veth


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    with veth() as made:
        yield made


@pytest.fixture
def near(pair: Veth) -> Iterator[Inside]:
    pair.near("sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 60999", "net.ipv4.ip_local_reserved_ports=")
    with inside(pair.near_pid) as there:
        yield there


@pytest.mark.parametrize(
    ("text", "ranges"),
    [("", []), ("\n", []), ("8080\n", [(8080, 8080)]), ("1,3-5,9", [(1, 1), (3, 5), (9, 9)])],
)
def test_ranges_as_the_kernel_writes_them(text: str, ranges: list[Any]) -> None:
    assert ownports.parse_ranges(text) == ranges


@pytest.mark.parametrize(
    ("ports", "taken", "left"),
    [
        ((10, 20), [], [(10, 20)]),
        ((10, 20), [(1, 9), (21, 30)], [(10, 20)]),
        ((10, 20), [(10, 20)], []),
        ((10, 20), [(1, 100)], []),
        ((10, 20), [(1, 10)], [(11, 20)]),
        ((10, 20), [(20, 25)], [(10, 19)]),
        ((10, 20), [(14, 15), (12, 12)], [(10, 11), (13, 13), (16, 20)]),
        ((10, 20), [(10, 14), (13, 18)], [(19, 20)]),
        ((10, 20), [(5, 30), (12, 13)], []),
        ((7, 7), [(7, 7)], []),
    ],
)
def test_what_is_left(ports: Any, taken: list[Any], left: list[Any]) -> None:
    assert ownports.less(ports, taken) == left
    numbers = {port for first, last in taken for port in range(first, last + 1)}
    assert [p for first, last in left for p in range(first, last + 1)] == [
        p for p in range(ports[0], ports[1] + 1) if p not in numbers
    ]


def test_ports_outside_the_range_are_our_own(near: Inside) -> None:
    assert near(lambda: ownports.not_reserved((61000, 65535))) is None
    assert near(lambda: ownports.not_reserved((1024, 32767))) is None


def test_the_command_that_is_named_mends_it(pair: Veth, near: Inside) -> None:
    pair.near("sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=8080,40050-40060")
    said = near(lambda: ownports.not_reserved((40000, 40100)))
    assert said is not None
    assert "source ports 40000-40049,40061-40100 of the scan" in said
    command = said.rpartition(": ")[2]
    assert command == (
        "sysctl -w net.ipv4.ip_local_reserved_ports=8080,40000-40049,40050-40060,40061-40100"
    )  # fmt: skip
    pair.near(*command.split())
    assert near(lambda: ownports.not_reserved((40000, 40100))) is None
    assert near(lambda: ownports.handed_out((40000, 40200))) == [(40101, 40200)]


def test_sockets_on_our_ports(pair: Veth, near: Inside) -> None:
    def listen(address: str, port: int, family: int = socket.AF_INET) -> socket.socket:
        made = socket.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen()
        return made

    def connect(port: int, local: int) -> socket.socket:
        made = socket.socket()
        made.settimeout(60)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((NEAR, local))
        made.connect((FAR, port))
        return made

    with inside(pair.far_pid) as far, ExitStack() as stack:
        port = stack.enter_context(far(lambda: socket.create_server((FAR, 0)))).getsockname()[1]
        stack.enter_context(near(lambda: listen(NEAR, 40001)))
        stack.enter_context(near(lambda: listen("0.0.0.0", 40002)))
        stack.enter_context(near(lambda: listen("127.0.0.1", 40003)))  # not an address of the scan
        stack.enter_context(near(lambda: listen(NEAR, 40101)))  # not a port of it
        stack.enter_context(near(lambda: listen("::", 40004, socket.AF_INET6)))
        stack.enter_context(near(lambda: listen("::1", 40005, socket.AF_INET6)))
        stack.enter_context(near(lambda: listen(f"::ffff:{NEAR}", 40006, socket.AF_INET6)))
        stack.enter_context(near(lambda: connect(port, 40007)))
        expected = [
            Use(40001, NEAR, "listening"), Use(40002, "any address", "listening"),
            Use(40004, "any address", "listening"), Use(40006, NEAR, "listening"), Use(40007, NEAR, "established"),
        ]  # fmt: skip
        found = near(lambda: ownports.in_use([NEAR], (40000, 40100)))
        assert found == expected
        said = ownports.complaint(found)
        assert said is not None
        assert f"{NEAR} port 40001 (listening), any address port 40002 (listening)" in said
        assert "more" not in said
    assert near(lambda: ownports.in_use([NEAR], (40000, 40100))) == []  # the connection is in TIME_WAIT


def test_what_a_scan_asks_before_it_begins(pair: Veth, near: Inside) -> None:
    with near(lambda: socket.create_server((NEAR, 61001))):
        with pytest.raises(PortsInUse, match=rf"{NEAR} port 61001 \(listening\); choose others") as caught:
            near(lambda: ownports.check([NEAR], (61000, 61100)))
        assert caught.value.errno == errno.EADDRINUSE
        assert near(lambda: ownports.check(["198.51.100.9"], (61000, 61100))) is None
    warning = near(lambda: ownports.check([NEAR], (60900, 61100)))
    assert warning is not None
    assert "sysctl -w net.ipv4.ip_local_reserved_ports=60900-60999" in warning


def test_a_long_list_is_cut() -> None:
    said = ownports.complaint([Use(port, "10.0.0.1", "listening") for port in range(1, 9)])
    assert said is not None
    assert "port 5 (listening) and 3 more;" in said
    assert ownports.complaint([]) is None


def test_a_kernel_without_ipv6(near: Inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(ownports, "_NET", tmp_path)
    assert near(lambda: ownports.in_use([NEAR], (1, 65535))) == []
