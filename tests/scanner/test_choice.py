from __future__ import annotations

import logging
import sys
from typing import ClassVar

import pytest

from stages.core.errors import Confined, HostError, MissingCapability, UsageError
from stages.net import confine
from stages.scanner import choice
from stages.scanner.choice import open_engine
from stages.scanner.engines import NotByPackets
from stages.scanner.packets import Packets
from stages.scanner.prepare import Prepared
from tests.servers.preparing import prepared

LOOPBACK = "127.66.0.0/28"


async def opened(scan: Prepared) -> str:
    engine = await open_engine(scan, scan.slices[0], lambda answers: None)
    name = engine.name
    await engine.close()
    return name


def deny(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def refuse(*args: object, **more: object) -> Packets:
        raise error

    monkeypatch.setattr(Packets, "open", refuse)


NO_RAW = MissingCapability("CAP_NET_RAW", "sending packets", "use --engine connect")


async def test_connect_by_name() -> None:
    assert await opened(prepared(LOOPBACK, engine="connect")) == "connect"


async def test_auto_falls_back_and_says_why(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    deny(monkeypatch, NO_RAW)
    with caplog.at_level(logging.WARNING):
        assert await opened(prepared(LOOPBACK)) == "connect"
    (line,) = caplog.messages
    assert "CAP_NET_RAW" in line


async def test_auto_dials_what_packets_cannot_reach(caplog: pytest.LogCaptureFixture) -> None:
    assert await opened(prepared(LOOPBACK)) == "connect"  # this host itself


async def test_what_was_passed_over_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Opened:
        name = "packet"
        passed_over: ClassVar = {"xdp": "queue 0 of near0 is taken", "3 threads": "near0 has 1 transmit queue"}

        async def close(self) -> None: ...

    async def made(*args: object, **more: object) -> Opened:
        return Opened()

    monkeypatch.setattr(Packets, "open", made)
    with caplog.at_level(logging.INFO):
        assert await opened(prepared(LOOPBACK)) == "packet"
    assert caplog.messages == [
        "packet engine; not xdp: queue 0 of near0 is taken; not 3 threads: near0 has 1 transmit queue"
    ]


@pytest.mark.parametrize("engine", ["xdp", "packet", "ip"])
async def test_packet_by_name_does_not_fall_back(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    deny(monkeypatch, NO_RAW)
    with pytest.raises(MissingCapability, match="CAP_NET_RAW"):
        await opened(prepared(LOOPBACK, engine=engine))


@pytest.mark.parametrize("error", [NO_RAW, NotByPackets("on the link")])
@pytest.mark.parametrize(
    "fields",
    [
        {"interface": "eth9"},
        {"source_ip": "192.0.2.1"},
        {"gateway_mac": "02:00:00:00:00:01"},
        {"source_mac": "02:00:00:00:00:01"},
        {"vlan": 5},
        {"probe_module": "icmp_echoscan", "target_ports": None},
    ],
)
async def test_what_was_asked_for_by_name_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], error: HostError
) -> None:
    deny(monkeypatch, error)
    with pytest.raises(type(error)):
        await opened(prepared(LOOPBACK, **fields))


@pytest.mark.parametrize(
    ("fields", "option"), [({"interface": "eth9"}, "-i"), ({"vlan": 0}, "--vlan"), ({"source_ip": "192.0.2.1"}, "-S")]
)
async def test_connections_have_no_such_thing(fields: dict[str, object], option: str) -> None:
    with pytest.raises(UsageError, match=f"^--engine: 'connect': {option} needs packets; ordinary connections have"):
        await opened(prepared(LOOPBACK, engine="connect", **fields))


async def test_a_host_that_is_broken_is_not_taken_for_one_without_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    deny(monkeypatch, HostError("interface eth9 is down"))
    with pytest.raises(HostError, match="down"):
        await opened(prepared(LOOPBACK))


async def test_no_such_sockets_and_no_numba(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with monkeypatch.context() as hidden, caplog.at_level(logging.WARNING):
        hidden.delattr(choice.socket, "AF_PACKET")
        assert await opened(prepared(LOOPBACK)) == "connect"
    with monkeypatch.context() as hidden, caplog.at_level(logging.WARNING):
        hidden.setitem(sys.modules, "stages.scanner.packets", None)
        assert await opened(prepared(LOOPBACK)) == "connect"
    assert "AF_PACKET" in caplog.messages[0]
    assert "the library" in caplog.messages[1]


async def test_ipv6_goes_by_connect() -> None:
    assert await opened(prepared("::1")) == "connect"
    scan = prepared("::1", source_ip="192.0.2.1", engine="connect")
    with pytest.raises(UsageError, match="-S needs packets"):
        await opened(scan)


async def test_bandwidth_becomes_a_rate() -> None:
    scan = prepared(LOOPBACK, engine="connect", bandwidth=784_000.0)
    engine = await open_engine(scan, scan.slices[0], lambda answers: None)
    assert engine.rate == 1000.0
    await engine.close()


async def test_confinement_is_known_before_anything_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(confine.VARIABLE, "1")
    confine.forget()
    try:
        with pytest.raises(Confined, match="not loopback"):
            await opened(prepared("10.0.0.0/28", engine="connect"))
    finally:
        confine.forget()
