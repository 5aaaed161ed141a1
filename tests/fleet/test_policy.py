from __future__ import annotations

import pytest

from stages.core.netset import NetSet
from stages.fleet.policy import LocalPolicy, connections_of
from stages.fleet.work import BannerGrab, TlsGrab
from tests.fleet.material import work

TCP = frozenset({"tcp_synscan"})
BOTH = frozenset({"banner", "tls"})


def nets(*texts: str) -> NetSet:
    return NetSet.parse(texts, "test")


@pytest.mark.parametrize(
    ("policy", "asked", "said"),
    [
        (LocalPolicy(9.0, probes=TCP), {}, ""),
        (LocalPolicy(9.0, probes=frozenset({"udp"})), {}, "probe module tcp_synscan"),
        (LocalPolicy(9.0, probes=TCP, ports=frozenset({443})), {}, "port 80"),
        (LocalPolicy(9.0, probes=TCP, ports=frozenset({80})), {}, ""),
        (LocalPolicy(9.0, probes=TCP, syn_per_target=3), {"retries": 2}, ""),
        (LocalPolicy(9.0, probes=TCP, syn_per_target=3), {"retries": 1, "probes": 2}, "4 probes to one target"),
        (LocalPolicy(9.0, probes=TCP), {"banner": BannerGrab()}, "banner is not grabbed from here"),
        (LocalPolicy(9.0, probes=TCP, grabs=BOTH), {"banner": BannerGrab(), "tls": TlsGrab()}, ""),
        (
            LocalPolicy(9.0, probes=TCP, grabs=BOTH, syn_per_target=2),
            {"banner": BannerGrab(ports="*"), "tls": TlsGrab(ports="80")},
            "1 probes and 3 connections to one target, at most 2",
        ),
    ],
)
def test_what_is_refused_and_why(policy: LocalPolicy, asked: dict[str, object], said: str) -> None:
    assert policy.refusal(work(**asked), (80,)).startswith(said)
    assert bool(policy.refusal(work(**asked), (80,))) == bool(said)


def test_no_rate_is_forced() -> None:
    policy = LocalPolicy(100.0, probes=TCP)
    assert policy.rate(1e6) == 100.0
    assert policy.rate(3.0) == 3.0


def test_what_is_forbidden_is_said_and_left_alone() -> None:
    policy = LocalPolicy(9.0, nets("10.0.1.0/24", "192.0.2.0/24"), TCP)
    assert policy.skipped(work(), None) == ("10.0.1.0-10.0.1.255",)
    assert policy.skipped(work(), ("10.0.1.128/25", "10.0.2.0/24")) == ("10.0.1.128-10.0.1.255",)
    assert policy.skipped(work(), ("10.0.2.0/24",)) == ()


def test_of_what_others_skipped_all_else_is_left_alone() -> None:
    policy = LocalPolicy(9.0, nets("10.0.1.0/24"), TCP)
    masked = policy.masked(work(), ("10.0.1.0-10.0.1.9", "10.0.2.0/24"))
    assert work().networks().minus(masked) == nets("10.0.2.0/24")
    assert work().networks().minus(policy.masked(work(), None)).size == 768


def test_more_networks_than_can_be_said() -> None:
    policy = LocalPolicy(9.0, nets(*(f"10.{n >> 7}.{n & 127}.1" for n in range(10_001))), TCP)
    with pytest.raises(ValueError, match="10001 networks"):
        policy.skipped(work(ranges=("10.0.0.0/8",)), None)


@pytest.mark.parametrize(
    ("asked", "port", "count"),
    [
        ({}, 80, 0),
        ({"banner": BannerGrab()}, 80, 1),
        ({"banner": BannerGrab()}, 443, 0),
        ({"tls": TlsGrab()}, 443, 2),
        ({"tls": TlsGrab(mode="full")}, 443, 1),
        ({"tls": TlsGrab(max_connections=4), "banner": BannerGrab(ports="443")}, 443, 5),
    ],
)
def test_connections_to_one_port(asked: dict[str, object], port: int, count: int) -> None:
    assert connections_of(work(**asked), port) == count
