from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.core import records
from stages.core.bus.base import Output, Topics
from stages.core.bus.memory import MemoryBus
from stages.core.errors import HostError, LonglineError, Unavailable
from stages.core.records import Hit, Scan
from stages.scanner import checkpoint, destination, session
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.session import Session
from stages.scanner.summary import Summary
from tests.servers.preparing import prepared

NET = "127.67.0.0/26"


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is open on five of the addresses."""
    with socket.create_server(("127.67.0.1", 0)) as first:
        number = int(first.getsockname()[1])
        others = [socket.create_server((f"127.67.0.{i}", number)) for i in range(2, 6)]
        yield number
        for each in others:
            each.close()


OPEN = {f"127.67.0.{i}" for i in range(1, 6)}


async def run(port: int, publisher: Any = None, *, stop: asyncio.Event | None = None, **fields: Any) -> Summary:
    """A scan of NET by connect; `path` is that of a checkpoint, `held` what to go on from."""
    path, held = fields.pop("path", None), fields.pop("held", None)
    scan = prepared(*fields.pop("targets", [NET]), target_ports=str(port), held=held, **{"engine": "connect", **fields})
    one = Session(
        scan, publisher=publisher, topics=Topics(), stop=stop or asyncio.Event(), metrics=ScannerMetrics(),
        status=io.StringIO(), checkpoint=path, resumed=held is not None,
    )  # fmt: skip
    async with asyncio.timeout(60):
        return await one.run()


def hits(bus: MemoryBus) -> list[Hit]:
    return [hit for line in bus.lines(Topics().hits) if isinstance(hit := records.parse(line), Hit)]


def scans(bus: MemoryBus) -> list[Scan]:
    return [scan for line in bus.lines(Topics().scans) if isinstance(scan := records.parse(line), Scan)]


async def test_hits_and_the_scans_own_records_are_published(port: int) -> None:
    bus = MemoryBus()
    summary = await run(port, bus.publisher(), vantage="here")
    assert {hit.ip for hit in hits(bus)} == OPEN
    assert all(hit.tcp is None and hit.success and hit.vantage == "here" for hit in hits(bus))
    start, end = scans(bus)
    assert (start.event, end.event) == ("start", "end")
    assert start.spec is not None
    assert start.spec["engine"] == "connect"
    assert start.spec["lifted"] == ["127.0.0.0/8"]
    assert start.spec["sender"]["connections"] == 2000
    assert end.counters is not None
    assert (end.counters["success"], end.counters["sent"], end.counters["complete"]) == (5, 64, True)
    assert end.position == 64
    assert (summary.complete, summary.reason, summary.tally.written, summary.engine) == (True, "complete", 5, "connect")


async def test_a_bus_and_a_file(port: int, tmp_path: Path) -> None:
    bus = MemoryBus()
    await run(port, bus.publisher(), output_file=str(tmp_path / "out"))
    assert len(hits(bus)) == 5
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines[0] == "saddr"
    assert set(lines[1:]) == OPEN


async def test_all_answers(port: int) -> None:
    bus = MemoryBus()
    await run(port, bus.publisher(), publish="all")
    assert len(hits(bus)) == 64
    assert {hit.classification for hit in hits(bus)} == {"synack", "rst"}


async def test_two_slices_are_one_scan(port: int) -> None:
    bus = MemoryBus()
    summary = await run(port, bus.publisher(), targets=[NET, "::1"], publish="all")
    assert len(hits(bus)) == summary.position == summary.counters.sent == 65
    assert [scan.event for scan in scans(bus)] == ["start", "end"]


async def test_exactly_so_many_results(port: int, tmp_path: Path) -> None:
    summary = await run(port, output_file=str(tmp_path / "out"), max_results=2, path=tmp_path / "c")
    assert len((tmp_path / "out").read_text().splitlines()) == 3
    assert (summary.reason, summary.complete, summary.tally.written) == ("max-results", False, 2)
    assert not checkpoint.read(tmp_path / "c").finished


async def test_stopping_finishes_the_outputs(port: int, tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    summary = await run(port, output_file=str(tmp_path / "out"), stop=stop, rate=20.0)
    assert (summary.reason, summary.complete) == ("stopped", False)
    assert summary.position < 64
    assert (tmp_path / "out").read_text().startswith("saddr\n")


async def test_the_checkpoint_of_a_finished_scan(port: int, tmp_path: Path) -> None:
    await run(port, MemoryBus().publisher(), path=tmp_path / "c")
    held = checkpoint.read(tmp_path / "c")
    assert held.finished
    assert held.position == 64
    bus = MemoryBus()
    summary = await run(port, bus.publisher(), path=tmp_path / "c", held=held)
    assert summary.complete
    assert summary.counters.sent == 0
    assert scans(bus) == []


async def test_a_scan_that_was_killed_before_its_end_record_tells_it_now(port: int, tmp_path: Path) -> None:
    await run(port, MemoryBus().publisher(), path=tmp_path / "c")
    held = checkpoint.read(tmp_path / "c")
    bus = MemoryBus()
    await run(port, bus.publisher(), path=tmp_path / "c", held=checkpoint.Checkpoint(
        held.scan, held.seed, held.secret, held.identity, held.position
    ))  # fmt: skip
    assert [scan.event for scan in scans(bus)] == ["end"]
    assert checkpoint.read(tmp_path / "c").finished


async def test_stopped_and_resumed_the_union_is_complete(port: int, tmp_path: Path) -> None:
    bus = MemoryBus()
    held = None
    runs = 0
    while held is None or not held.finished:
        # The first runs have time for some of the targets only.
        await run(
            port, bus.publisher(), path=tmp_path / "c", held=held, rate=100.0, max_runtime=0.2 if runs < 2 else None
        )
        held = checkpoint.read(tmp_path / "c")
        runs += 1
    assert runs == 3
    assert {hit.ip for hit in hits(bus)} == OPEN
    assert len({hit.scan for hit in hits(bus)}) == 1
    assert len({hit.id for hit in hits(bus)}) == 5
    assert [scan.event for scan in scans(bus)] == ["start", "progress", "start", "progress", "start", "end"]


class Wall:
    """A publisher that lets nothing through until `open` is set."""

    ready = True

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.outputs: list[Output] = []

    async def publish(self, outputs: list[Output]) -> None:
        if outputs[0].topic == Topics().hits:
            await self.open.wait()
        self.outputs += outputs


async def test_nothing_is_settled_that_the_log_has_not_acknowledged(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.scanner.watch.MARK_SECONDS", 0.01)
    wall = Wall()
    task = asyncio.create_task(run(port, wall, path=tmp_path / "c"))
    async with asyncio.timeout(30):
        while not (tmp_path / "c").exists():
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # all is dialled by now; nothing is acknowledged
    assert checkpoint.read(tmp_path / "c").position == 0
    wall.open.set()
    summary = await task
    assert summary.complete
    assert checkpoint.read(tmp_path / "c").finished


async def test_a_full_log_pauses_the_sending_and_loses_nothing(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(session.Delivery):
        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            super().__init__(loop, high_water=20, low_water=5)

    monkeypatch.setattr(session, "Delivery", Small)
    monkeypatch.setattr("stages.scanner.writer.BATCH", 5)
    wall = Wall()
    metrics = ScannerMetrics()
    scan = prepared(NET, target_ports=str(port), engine="connect", publish="all", rate=500.0, connections=5)
    one = Session(
        scan, publisher=wall, topics=Topics(), stop=asyncio.Event(), metrics=metrics, status=None,  # type: ignore[arg-type]
        checkpoint=None, resumed=False,
    )  # fmt: skip
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(30):
        while not metrics.paused.value:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.2)
    assert metrics.position.value < 64
    wall.open.set()
    summary = await task
    assert summary.complete
    assert len([output for output in wall.outputs if output.topic == Topics().hits]) == 64


async def test_a_log_that_is_away_for_a_while(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "FIRST_BACKOFF", 0.001)
    bus = MemoryBus()
    with bus.outage():
        task = asyncio.create_task(run(port, bus.publisher()))
        await asyncio.sleep(0.1)
        assert not task.done()
    summary = await task
    assert summary.complete
    assert {hit.ip for hit in hits(bus)} == OPEN


async def test_a_stopped_scan_leaves_a_log_that_stays_away(
    port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(session, "STOP_PATIENCE", 0.0)
    monkeypatch.setattr(destination, "FIRST_BACKOFF", 0.001)

    class Away(Wall):
        async def publish(self, outputs: list[Output]) -> None:
            if outputs[0].topic == Topics().hits:
                raise Unavailable("no broker")

    stop = asyncio.Event()
    task = asyncio.create_task(run(port, Away(), stop=stop, path=tmp_path / "c"))
    await asyncio.sleep(0.2)
    assert not task.done()
    stop.set()
    with pytest.raises(Unavailable):
        await task
    assert checkpoint.read(tmp_path / "c").position == 0


async def test_a_stopped_scan_leaves_a_log_that_is_full(
    port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(session, "STOP_PATIENCE", 0.05)
    monkeypatch.setattr(destination, "LOOK_SECONDS", 0.01)

    class Unread(Wall):
        async def publish(self, outputs: list[Output]) -> None:
            if outputs[0].topic == Topics().hits:
                await asyncio.Event().wait()

    stop = asyncio.Event()
    task = asyncio.create_task(run(port, Unread(), stop=stop, path=tmp_path / "c"))
    await asyncio.sleep(0.2)
    assert not task.done()
    stop.set()
    with pytest.raises(Unavailable, match="nobody reads it"):
        await asyncio.wait_for(task, 30)
    assert checkpoint.read(tmp_path / "c").position == 0


async def test_a_disk_that_is_full_ends_the_scan(port: int) -> None:
    with pytest.raises(HostError, match="No space left on device"):
        await run(port, output_file="/dev/full")


async def test_an_engine_that_cannot_begin_leaves_the_file_alone(port: int, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    with pytest.raises(LonglineError, match=r"eth9|CAP_NET_RAW"):
        await run(port, output_file=str(tmp_path / "out"), engine="packet", interface="eth9")
    assert (tmp_path / "out").read_text() == "precious"
