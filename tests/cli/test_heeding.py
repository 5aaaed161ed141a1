"""Where a process hears of orders, and that it begins nothing before it has."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest

from stages.cli.assembly import Guard
from stages.cli.heeding import heed_of, heeded, leave_if_ordered, orders_of
from stages.cli.sections import load_settings
from stages.core.bus.base import Broadcast
from stages.core.errors import HostError, Ordered
from stages.core.heed import Heed
from stages.core.lists import Lists
from stages.core.netset import NetSet
from stages.core.orders import Order, Standing
from stages.core.policy import Policy
from stages.scanner.summary import Counters, Summary, Tally


class Runner:
    def __init__(self) -> None:
        self.heard: list[Standing] = []
        self.stopped = False

    def heed(self, standing: Standing) -> None:
        self.heard.append(standing)

    def stop(self) -> None:
        self.stopped = True


def test_the_logs_of_a_process_are_asked_each_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ways(**more: Any) -> list[str]:
        return [name for name, _ in heed_of(load_settings(argparse.Namespace()), None, **more)._topics]

    assert ways() == []
    monkeypatch.setenv("LONGLINE_BUS_URL", f"sqlite:{tmp_path}/a.db")
    topic = "longline.orders.v1"
    assert ways() == [f"sqlite:{tmp_path}/a.db {topic}"]
    monkeypatch.setenv("LONGLINE_BUS_TO", f"sqlite:{tmp_path}/b.db")
    assert ways() == [f"sqlite:{tmp_path}/a.db {topic}", f"sqlite:{tmp_path}/b.db {topic}"]
    assert ways(reads=False) == [f"sqlite:{tmp_path}/b.db {topic}"]
    monkeypatch.setenv("LONGLINE_ORDERS_FILE", "here")
    assert heed_of(load_settings(argparse.Namespace()), None, more=[orders_of("x.db")])._files == (
        "here", "x.db.orders",
    )  # fmt: skip


async def test_nothing_is_known_at_first_and_the_policy_hears_before_the_runner(tmp_path: Path) -> None:
    file = tmp_path / "orders"
    file.write_bytes(Order("stop", "prefix", "8.8.8.0/24").dump())
    policy = Policy()

    class Asking(Runner):
        def heed(self, standing: Standing) -> None:
            super().heed(standing)
            assert policy.blocked("8.8.8.8") == bool(standing.orders)

    runner: Any = Asking()
    async with heeded(Heed([str(file)]), Guard(policy, Lists()), [runner]):
        async with asyncio.timeout(20):
            while not runner.heard[-1].known:
                await asyncio.sleep(0.01)
    assert not runner.heard[0].known
    assert len(runner.heard[-1].orders) == 1


async def test_lists_that_are_read_again_are_told_to_who_sends(tmp_path: Path) -> None:
    policy, runner = Policy(), Runner()
    sending: Any = runner
    guard = Guard(policy, Lists())
    async with heeded(Heed([str(tmp_path / "orders")]), guard, [sending]):
        async with asyncio.timeout(20):
            while not runner.heard[-1].known:
                await asyncio.sleep(0.01)
        before = len(runner.heard)
        guard.update(Lists(block=NetSet.parse(["8.8.8.0/24"], "list")))
        assert policy.blocked("8.8.8.8")
        assert runner.heard[before:] == [Standing()]


async def test_a_log_that_refuses_us_ends_the_stage() -> None:
    class Refusing(Broadcast):
        async def start(self) -> None:
            raise HostError("not for you")

        async def close(self) -> None: ...

    runner: Any = Runner()

    async def stage() -> None:
        async with heeded(Heed([], [("it", Refusing)]), Guard(Policy(), Lists()), [runner]):  # type: ignore[type-abstract]
            while not runner.stopped:
                await asyncio.sleep(0.01)

    with pytest.raises(HostError, match="not for you"):
        await asyncio.wait_for(stage(), 20)


async def test_who_sends_nothing_heeds_nothing() -> None:
    runner: Any = Runner()
    async with heeded(None, Guard(Policy(), Lists()), [runner]):
        assert runner.heard == []


def summary(reason: str) -> Summary:
    return Summary("weekly-1", "packet", 10, 4, False, reason, 0, 0, Counters(), Tally())


def test_a_scan_that_was_ended_by_order_says_how_it_goes_on() -> None:
    leave_if_ordered(summary("stopped"), Standing())
    with pytest.raises(Ordered, match=r"at 4 of 10: stop --all .*longline stop --lift --all") as caught:
        leave_if_ordered(summary("ordered"), Standing((Order("stop", "all"),)))
    assert caught.value.exit_code == 75
    with pytest.raises(Ordered, match="does not stand any more"):
        leave_if_ordered(summary("ordered"), Standing())
