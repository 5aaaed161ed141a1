"""Scans from Python, by ordinary connections on the loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.core.errors import Ordered, UsageError
from stages.core.orders import Order
from stages.scanner.api import Hit, ScannerSettings, scan
from stages.scanner.plugins.base import Plugin
from stages.scanner.summary import Summary
from tests.servers.talkers import talker


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    with talker(socket.socket.close) as place:
        yield place


def settings(server: tuple[str, int], **more: object) -> ScannerSettings:
    host, port = server
    asked = {"targets": (host,), "target_ports": str(port), "engine": "connect", "cooldown_time": 0.0, **more}
    return ScannerSettings.model_validate(asked)


async def test_hits_as_they_come(server: tuple[str, int]) -> None:
    found = scan(settings(server))
    hits = [hit async for hit in found]
    assert [(type(hit), hit.ip, hit.port, hit.classification) for hit in hits] == [(Hit, *server, "synack")]
    assert found.summary is not None
    assert (found.summary.complete, found.summary.tally.written) == (True, 1)
    with pytest.raises(RuntimeError, match="once"):
        [hit async for hit in found]


async def test_what_is_wrong_is_raised(server: tuple[str, int]) -> None:
    with pytest.raises(UsageError, match="-p/--target-ports"):
        [hit async for hit in scan(settings(server, target_ports=None))]


async def test_a_scan_that_is_stopped_ends_its_loop(server: tuple[str, int]) -> None:
    """A million targets at 200 a second would take an hour and a half."""
    found = scan(settings(server, targets=(server[0], "127.64.0.0/12"), rate="200", seed=0))
    asyncio.get_running_loop().call_later(0.5, found.stop)
    hits = [hit async for hit in found]
    assert {hit.ip for hit in hits} <= {server[0]}
    assert found.summary is not None
    assert found.summary.reason == "stopped"


async def test_who_leaves_the_loop_ends_it_at_once(server: tuple[str, int]) -> None:
    found = scan(settings(server, targets=(server[0], "127.64.0.0/12"), rate="200", seed=0))
    hits = found.__aiter__()
    waiting = asyncio.ensure_future(hits.__anext__())
    while not any(task.get_name() == "scan" for task in asyncio.all_tasks()):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await hits.aclose()
    assert not any(task.get_name() == "scan" for task in asyncio.all_tasks())
    assert found.summary is None


async def test_plugins_are_called(server: tuple[str, int]) -> None:
    ended: list[str] = []

    class Mine(Plugin):
        def on_end(self, summary: Summary) -> None:
            ended.append(summary.reason)

    assert [hit.port async for hit in scan(settings(server), plugins=[Mine()])] == [server[1]]
    assert ended == ["complete"]


async def test_an_order_that_stands_is_heeded(
    server: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "orders"
    monkeypatch.setenv("LONGLINE_ORDERS_FILE", str(file))
    file.write_bytes(Order("stop", "campaign", "weekly").dump())
    with pytest.raises(Ordered, match="--campaign weekly"):
        [hit async for hit in scan(settings(server, scan="weekly-1"))]
    assert [hit.port async for hit in scan(settings(server, scan="daily"))] == [server[1]]
