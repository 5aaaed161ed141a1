"""Hearing of orders: by files and by the topic of a log, whatever happens to them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stages.core import heed as module
from stages.core.bus.base import Broadcast, Output
from stages.core.bus.memory import MemoryBus
from stages.core.errors import HostError
from stages.core.heed import OF_HOST, Heed, file_to_write, files_of_host, heeding, read_file
from stages.core.metrics import Metrics
from stages.core.orders import Order

DEADLINE = 20.0
TOPIC = "t.orders.v1"
ALL, LIFT = Order("stop", "all"), Order("lift", "all")
WEEKLY = Order("stop", "campaign", "weekly")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.02)
    monkeypatch.setattr(module, "RETRY_FIRST", 0.01)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.01)


def write(file: Path, *orders: Order) -> None:
    file.write_bytes(b"".join(order.dump() + b"\n" for order in orders))


@asynccontextmanager
async def by_topic(bus: MemoryBus, *files: Path) -> AsyncIterator[Heed]:
    async with heeding(Heed([str(file) for file in files], [("memory", lambda: bus.broadcast(TOPIC))])) as heed:
        yield heed


async def say(bus: MemoryBus, *orders: Order) -> None:
    await bus.publisher().publish([Output(TOPIC, order.key, order.dump()) for order in orders])


async def test_a_file_that_comes_changes_and_goes(tmp_path: Path) -> None:
    file, metrics = tmp_path / "orders", Metrics()
    async with heeding(Heed([str(file)], metrics=metrics)) as heed:
        assert heed.standing.known
        assert heed.standing.orders == ()
        write(file, ALL, WEEKLY)
        await until(lambda: heed.standing.orders == (ALL, WEEKLY))
        assert metrics["longline_orders_standing"].value == 2  # type: ignore[attr-defined]
        write(file, WEEKLY)
        await until(lambda: heed.standing.orders == (WEEKLY,))
        file.unlink()
        await until(lambda: heed.standing.orders == ())


async def test_what_stands_at_the_start_is_known_before_anything_else(tmp_path: Path) -> None:
    write(tmp_path / "orders", ALL)
    bus = MemoryBus()
    await say(bus, WEEKLY, ALL, LIFT)
    async with by_topic(bus, tmp_path / "orders") as heed:
        assert set(heed.standing.orders) == {ALL, WEEKLY}


async def test_one_way_does_not_lift_what_another_says(tmp_path: Path) -> None:
    bus = MemoryBus()
    write(tmp_path / "orders", ALL)
    async with by_topic(bus, tmp_path / "orders") as heed:
        await say(bus, LIFT, WEEKLY)
        await until(lambda: WEEKLY in heed.standing.orders)
        assert ALL in heed.standing.orders


async def test_a_log_that_is_out_of_reach_is_waited_for_and_nothing_is_lifted_meanwhile() -> None:
    bus = MemoryBus()
    await say(bus, ALL)
    heed = Heed([], [("memory", lambda: bus.broadcast(TOPIC))])
    heard: list[bool] = []
    heed.listen(lambda standing: heard.append(standing.known))
    with bus.outage():
        starting = asyncio.create_task(heed.start())
        await asyncio.sleep(0.1)
        assert not starting.done()
        assert not heed.standing.known
    async with asyncio.timeout(DEADLINE):
        await starting
    assert heed.standing.everything == ALL
    assert heard[0] is False
    assert heard[-1] is True
    with bus.outage():
        await asyncio.sleep(0.1)
        assert heed.standing.everything == ALL
    await say(bus, LIFT)
    await until(lambda: heed.standing.everything is None)
    await heed.close()


async def test_a_log_that_refuses_us_is_told_at_the_start() -> None:
    class Refusing(Broadcast):
        async def start(self) -> None:
            raise HostError("not for you")

        async def close(self) -> None: ...

    with pytest.raises(HostError, match="not for you"):
        async with asyncio.timeout(DEADLINE), heeding(Heed([], [("it", Refusing)])):  # type: ignore[type-abstract]
            pass


async def test_nonsense_does_no_harm_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bus, file = MemoryBus(), tmp_path / "orders"
    file.write_bytes(b"stop everything\n" + WEEKLY.dump() + b'\n{"order":"stop"}\n\n')
    with caplog.at_level(logging.ERROR):
        async with by_topic(bus, file) as heed:
            assert heed.standing.orders == (WEEKLY,)
            await bus.publisher().publish([Output(TOPIC, b"", b"\xff\x00"), Output(TOPIC, ALL.key, ALL.dump())])
            await until(lambda: heed.standing.everything)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [str(file), "memory"]


async def test_a_file_that_cannot_be_read_keeps_what_it_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "orders"
    write(file, ALL)
    async with heeding(Heed([str(file)])) as heed:
        file.unlink()
        file.mkdir()
        await until(lambda: "cannot be read" in caplog.text)
        await asyncio.sleep(0.1)
        assert heed.standing.everything == ALL
        assert caplog.text.count("cannot be read") == 1
        file.rmdir()
        write(file, WEEKLY)
        await until(lambda: heed.standing.orders == (WEEKLY,))
    monkeypatch.setattr(module, "MAX_FILE", 3)
    with pytest.raises(HostError, match="larger"):
        read_file(file)


def test_where_a_hosts_orders_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    own = str(tmp_path / "longline" / "orders.jsonl")
    assert files_of_host(None) == [OF_HOST, own]
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert file_to_write(None) == own
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert file_to_write(None) == OF_HOST
    assert files_of_host("x") == ["x"]
    assert file_to_write("x") == "x"


def test_a_home_that_is_anothers_holds_no_orders_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As an ordinary user in the superuser's environment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    stat = os.stat

    def closed(path: str, **more: object) -> os.stat_result:
        if str(path).startswith(str(tmp_path)):
            raise PermissionError(path)
        return stat(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", closed)
    assert files_of_host(None) == [OF_HOST]
