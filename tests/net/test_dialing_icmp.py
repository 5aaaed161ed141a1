"""ICMP errors from a real kernel behind a veth pair: errno merges what type and code tell apart."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.require import require
from tests.servers.veth import NEAR, Veth, veth

RULES = """
table inet test {
    chain input {
        type filter hook input priority 0;
        ip daddr 10.1.0.0 reject with icmp type net-unreachable
        ip daddr 10.1.0.1 reject with icmp type host-unreachable
        ip daddr 10.1.0.2 reject with icmp type prot-unreachable
        ip daddr 10.1.0.3 reject with icmp type port-unreachable
        ip daddr 10.1.0.9 reject with icmp type net-prohibited
        ip daddr 10.1.0.10 reject with icmp type host-prohibited
        ip daddr 10.1.0.13 reject with icmp type admin-prohibited
        ip daddr 10.1.1.1 reject with tcp reset
        ip daddr 10.1.1.2 drop
        ip daddr 10.1.1.3 tcp flags & psh == psh reject with icmp type host-unreachable
        ip6 daddr fd01::1 reject with icmpv6 type admin-prohibited
        ip6 daddr fd01::2 reject with icmpv6 type addr-unreachable
        ip6 daddr fd01::3 reject with icmpv6 type port-unreachable
        ip6 daddr fd01::4 reject with icmpv6 type no-route
        ip6 daddr fd01::5 reject with tcp reset
    }
}
"""

PORT = "4321"

#: On the link, and nobody has it.
ABSENT = NEAR.rpartition(".")[0] + ".77"


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft"), "needs nftables")
    with veth() as made:
        made.far("nft", "-f", "-", input=RULES)
        made.far(
            "sh",
            "-ec",
            "ip -6 addr add fd00::1/64 dev far0 nodad; ip -6 route add local fd01::/64 dev lo; "
            "sysctl -qw net.ipv6.icmp.ratelimit=0",
        )
        made.near(
            "sh",
            "-ec",
            "ip -6 addr add fd00::2/64 dev near0 nodad; ip -6 route add default via fd00::1; "
            "ip route add unreachable 10.250.0.0/16; ip route add prohibit 10.251.0.0/16; "
            "sysctl -qw net.ipv4.neigh.near0.retrans_time_ms=60 net.ipv6.neigh.near0.retrans_time_ms=60",
        )
        with made.program(made.far_pid, sys.executable, "tests/servers/listener.py", PORT, ready="ready"):
            yield made


@pytest.fixture(scope="module", params=["epoll", "loop"])
def said(request: pytest.FixtureRequest, pair: Veth) -> dict[str, dict[str, Any]]:
    """What the engine says of every target of these tests, from one run."""
    v4 = ["10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.9", "10.1.0.10", "10.1.0.13"]
    more = ["10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4", ABSENT, "10.250.0.1", "10.251.0.1"]
    v6 = [f"fd01::{number}" for number in range(1, 6)]
    targets = [word for host in v4 + more + v6 for word in (host, PORT)]
    done = pair.near(sys.executable, "-m", "tests.servers.dial_once", request.param, "asyncio", "3.5", *targets)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("host", "number", "icmp"),
    [
        ("10.1.0.0", errno.ENETUNREACH, (3, 0)),
        ("10.1.0.1", errno.EHOSTUNREACH, (3, 1)),
        ("10.1.0.2", errno.ENOPROTOOPT, (3, 2)),
        ("10.1.0.3", errno.ECONNREFUSED, (3, 3)),
        ("10.1.0.9", errno.ENETUNREACH, (3, 9)),
        ("10.1.0.10", errno.EHOSTUNREACH, (3, 10)),
        ("10.1.0.13", errno.EHOSTUNREACH, (3, 13)),
        ("fd01::1", errno.EACCES, (1, 1)),
        ("fd01::2", errno.EHOSTUNREACH, (1, 3)),
        ("fd01::3", errno.ECONNREFUSED, (1, 4)),
        ("fd01::4", errno.ENETUNREACH, (1, 0)),
    ],
)
def test_an_icmp_error_is_unreachable_with_type_and_code(
    said: dict[str, dict[str, Any]], host: str, number: int, icmp: tuple[int, int]
) -> None:
    got = said[host]
    assert got["fault"] is None
    assert (got["outcome"], got["phase"], got["errno"]) == ("unreachable", "connect", number)
    assert got["icmp"] == [*icmp, "fd00::1" if ":" in host else host]
    assert got["left_host"]


@pytest.mark.parametrize("host", ["10.1.1.1", "fd01::5"])
def test_a_rst_to_our_syn_is_refused(said: dict[str, dict[str, Any]], host: str) -> None:
    got = said[host]
    assert (got["outcome"], got["errno"], got["icmp"]) == ("refused", errno.ECONNREFUSED, None)


def test_no_answer_is_a_timeout(said: dict[str, dict[str, Any]]) -> None:
    got = said["10.1.1.2"]
    assert (got["outcome"], got["phase"], got["timed_out"], got["icmp"]) == ("timeout", "connect", True, None)


def test_no_neighbour_is_unreachable(said: dict[str, dict[str, Any]]) -> None:
    got = said[ABSENT]
    assert (got["outcome"], got["errno"], got["timed_out"]) == ("unreachable", errno.EHOSTUNREACH, False)


def test_an_icmp_error_against_an_open_connection_is_a_hint(said: dict[str, dict[str, Any]]) -> None:
    got = said["10.1.1.3"]
    assert (got["failed"], got["timed_out"], got["phase"]) == (False, True, "read")
    assert got["errno"] == errno.EHOSTUNREACH
    assert got["outcome"] == "unreachable"


def test_open_and_silent(said: dict[str, dict[str, Any]]) -> None:
    got = said["10.1.1.4"]
    assert (got["outcome"], got["phase"], got["errno"]) == ("silent", "read", None)


@pytest.mark.parametrize("host", ["10.250.0.1", "10.251.0.1"])
def test_what_never_left_this_host_is_local(said: dict[str, dict[str, Any]], host: str) -> None:
    got = said[host]
    assert (got["outcome"], got["left_host"]) == ("local", False)
