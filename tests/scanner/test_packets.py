from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from stages.core.errors import Confined, HostError, LonglineError, MissingCapability, UsageError
from stages.net.confine import ConfinedError
from stages.net.link import InterfaceError, NoNeighbour
from stages.net.path import NotOurs, OnLink, TooLong
from stages.scanner import packets
from stages.scanner.engine import Counters, Plan
from stages.scanner.engines import NotByPackets
from stages.scanner.packets import RING_DELAY, Packets, plan_of
from tests.servers.preparing import prepared


class Engine:
    """What `Packets` needs of a PacketEngine, without a wire."""

    refuse: OSError | None = None
    name = "xdp"

    def __init__(
        self,
        plan: Plan,
        on_answers: Callable[[Any], None],
        *,
        mask: Callable[[Any], Any],
        pcap: object = None,
        go_on: object = None,
    ) -> None:
        self.plan = plan
        self.calls: list[str] = []
        self.error: BaseException | None = None
        self.sending = True
        self.position = 5
        self.counters = Counters(sent=5)
        self.asked = 0.0
        self.over = False
        self.passed_over = {"nothing": "tried"}
        self.continuing = None
        self.not_quiet: str | None = None

    def open(self) -> None:
        if self.refuse is not None:
            raise self.refuse

    def change_rate(self, factor: float) -> float:
        return self.plan.rate * factor

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.calls.append(name)

    def position_before(self, moment: float) -> int:
        self.asked = moment
        return 3

    def join(self, timeout: float | None) -> bool:
        return self.over

    def describe(self) -> dict[str, object]:
        return {"interface": "near0"}


async def opened(monkeypatch: pytest.MonkeyPatch, refuse: OSError | None = None) -> tuple[Packets, Engine]:
    monkeypatch.setattr(packets, "PacketEngine", Engine)
    monkeypatch.setattr(Engine, "refuse", refuse)
    scan = prepared()
    engine = await Packets.open(scan, scan.slices[0], lambda answers: None)
    return engine, engine._engine  # type: ignore[return-value]


async def test_calls_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inner = await opened(monkeypatch)
    engine.start()
    engine.pause()
    engine.resume()
    engine.stop_sending()
    await engine.close()
    assert inner.calls == ["start", "pause", "resume", "stop_sending", "close"]
    assert (engine.sending, engine.position, engine.counters.sent, engine.rate) == (True, 5, 5, 10_000)
    assert engine.describe() == {"interface": "near0", "engine": "xdp"}
    assert (engine.name, engine.passed_over) == ("xdp", {"nothing": "tried"})
    engine.change_rate(1.05)
    assert engine.rate == pytest.approx(10_500)


async def test_what_is_settled_is_a_cooldown_and_a_ring_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inner = await opened(monkeypatch)
    assert engine.settled(100.0, 8.0) == 3
    assert inner.asked == 100.0 - 8.0 - RING_DELAY


async def test_its_end_and_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inner = await opened(monkeypatch)
    assert not engine.done
    assert engine.failure is None
    inner.error = OSError(errno.ENETDOWN, "Network is down")
    assert engine.done
    assert str(engine.failure) == "the scan stopped: Network is down"
    inner.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        assert engine.failure
    inner.error = None
    inner.over = True
    assert engine.done


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (PermissionError(errno.EPERM, "no"), MissingCapability, "sending packets needs CAP_NET_RAW.*--engine connect"),
        (ConfinedError("interface eth0"), Confined, "interface eth0 is not loopback"),
        (OnLink(errno.EHOSTUNREACH, "on the link"), NotByPackets, "on the link"),
        (OSError(errno.EPFNOSUPPORT, "no Ethernet headers"), NotByPackets, "no Ethernet"),
        (OSError(errno.ENOMEM, "no memory"), HostError, "no memory"),
        (InterfaceError(errno.ENETDOWN, "interface eth9 is down"), UsageError, "--interface: interface eth9 is down"),
        (NoNeighbour(errno.EHOSTUNREACH, "192.0.2.1 does not answer ARP"), UsageError, "--gateway-mac: 192.0.2.1 does"),
        (NotOurs(errno.EADDRNOTAVAIL, "192.0.2.9 is not ours"), UsageError, "--source-ip: 192.0.2.9 is not ours"),
        (TooLong(errno.EMSGSIZE, "a packet of 2000 bytes"), UsageError, "--probe-args: a packet of 2000 bytes"),
    ],
)
async def test_errors_are_mapped(
    monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[LonglineError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        await opened(monkeypatch, error)
    assert type(caught.value) is kind


def test_the_plan_says_what_the_settings_say() -> None:
    scan = prepared(
        "10.0.0.0/28", target_ports="80,443", rate=7.0, source_ip="192.0.2.2-192.0.2.3", source_port="40000-40001",
        gateway_mac="02:00:00:00:00:01", interface="near0", probes=2, probe_ttl=9, cooldown_time=3, max_runtime=5,
        sender_threads=2, dedup_method="window", dedup_window_size=10, max_sendto_failures=4, max_targets="20",
        probe_args="linux",
    )  # fmt: skip
    plan = plan_of(scan, scan.slices[0])
    assert plan.space.size == 32
    assert (plan.first, plan.last, plan.rate, plan.probes, plan.ttl) == (0, 20, 7.0, 2, 9)
    assert plan.source_ips == (0xC0000202, 0xC0000203)
    assert plan.source_ports == (40000, 40001)
    assert plan.gateway_mac == b"\x02\0\0\0\0\x01"
    assert (plan.cooldown, plan.max_runtime, plan.threads, plan.dedup, plan.window) == (3, 5, 2, "window", 10)
    assert (plan.interface, plan.max_sendto_failures, plan.secret, plan.probe.args) == ("near0", 4, bytes(16), "linux")
    assert plan.permutation.seed == 1


def test_bandwidth_wins_over_rate() -> None:
    scan = prepared(rate=5.0, bandwidth=10e6)
    plan = plan_of(scan, scan.slices[0])
    frame = max(len(plan.probe.template) + 24, 84)
    assert plan.rate == 10e6 / (8 * frame)


def test_bandwidth_counts_the_tag() -> None:
    scan = prepared(bandwidth=10e6, vlan=5, probe_args="linux")
    plan = plan_of(scan, scan.slices[0])
    assert plan.vlan == 5
    assert plan.rate == 10e6 / (8 * (len(plan.probe.template) + 4 + 24))


@pytest.mark.parametrize("engine", ["auto", "xdp", "packet", "ip"])
def test_the_engine_by_name(engine: str) -> None:
    scan = prepared(engine=engine)
    assert plan_of(scan, scan.slices[0]).engine == engine


def test_bad_probe_arguments() -> None:
    scan = prepared(probe_args="plan9")
    with pytest.raises(UsageError, match="--probe-args: 'plan9'"):
        plan_of(scan, scan.slices[0])
    scan = prepared(probe_module="icmp_echoscan", target_ports=None, probe_args="file:/nowhere")
    with pytest.raises(UsageError, match="--probe-args: 'file:/nowhere': No such file"):
        plan_of(scan, scan.slices[0])
