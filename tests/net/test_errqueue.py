from __future__ import annotations

import socket
import struct
import sys

import pytest

from stages.net import errqueue
from stages.net.errqueue import IcmpError
from tests.require import require

V4 = struct.pack("=H2x4s8x", socket.AF_INET, bytes((192, 0, 2, 9)))
V6 = struct.pack("=H2xI16sI", socket.AF_INET6, 0, socket.inet_pton(socket.AF_INET6, "2001:db8::9"), 0)


def extended(errno: int, origin: int, kind: int, code: int) -> bytes:
    return struct.pack("=IBBBBII", errno, origin, kind, code, 0, 0, 0)


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ([], None),
        ([(0, 11, extended(113, 2, 3, 1) + V4)], IcmpError(113, 3, 1, "192.0.2.9")),
        ([(41, 25, extended(13, 3, 1, 1) + V6)], IcmpError(13, 1, 1, "2001:db8::9")),
        ([(1, 29, bytes(16)), (0, 11, extended(111, 2, 3, 3) + V4)], IcmpError(111, 3, 3, "192.0.2.9")),
        ([(0, 11, extended(111, 2, 3, 3))], IcmpError(111, 3, 3, "")),  # no address of the sender
        ([(0, 11, extended(111, 2, 3, 3) + V4[:6])], IcmpError(111, 3, 3, "")),
        ([(0, 11, extended(90, 1, 0, 0) + V4)], None),  # of local origin: EMSGSIZE
        ([(0, 11, extended(111, 2, 3, 3)[:10])], None),  # cut short
        ([(6, 11, extended(111, 2, 3, 3) + V4)], None),  # not of IP
    ],
)
def test_parse(control: list[tuple[int, int, bytes]], expected: IcmpError | None) -> None:
    assert errqueue.parse(control) == expected


def test_a_port_unreachable_is_taken_from_the_queue_and_the_queue_is_empty_then() -> None:
    require(sys.platform == "linux", "the error queue is Linux's")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound, socket.socket(type=socket.SOCK_DGRAM) as sock:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        bound.close()
        errqueue.enable(sock, socket.AF_INET)
        sock.setblocking(False)
        sock.connect(("127.0.0.1", port))
        sock.send(b"x")
        assert errqueue.drain(sock) == IcmpError(111, 3, 3, "127.0.0.1")
        assert errqueue.drain(sock) is None


def test_a_port_unreachable_over_ipv6() -> None:
    require(sys.platform == "linux", "the error queue is Linux's")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.bind(("::1", 0))
        port = bound.getsockname()[1]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        errqueue.enable(sock, socket.AF_INET6)
        sock.setblocking(False)
        sock.connect(("::1", port))
        sock.send(b"x")
        assert errqueue.drain(sock) == IcmpError(111, 1, 4, "::1")


def test_where_there_is_no_queue_nothing_is_asked_of_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errqueue, "AVAILABLE", False)
    with socket.socket() as sock:
        errqueue.enable(sock, socket.AF_INET)
        assert errqueue.drain(sock) is None
        assert sock.getsockopt(0, 11) == 0
