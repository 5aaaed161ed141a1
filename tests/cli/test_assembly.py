"""What a stage stands on."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import pytest

from stages.cli.assembly import Guard, grounds_of, group_of, guarded, limits_of, watched
from stages.cli.sections import load_settings
from stages.core.health import HealthServer
from stages.core.lists import Lists
from stages.core.metrics import Metrics
from stages.core.netset import NetSet
from stages.core.orders import Order, Standing
from stages.core.policy import Policy
from stages.core.settings import BusSettings, ListSettings, MetricsSettings, PolitenessSettings


def test_groups_are_named_by_prefix_and_stage_unless_told() -> None:
    assert group_of(BusSettings(), "sink") == "longline.sink"
    assert group_of(BusSettings(prefix="lab"), "sink") == "lab.sink"
    assert group_of(BusSettings(group="mine"), "sink") == "mine"


def test_limits_are_those_of_the_settings() -> None:
    limits = limits_of(PolitenessSettings(per_host=3, per_prefix=7.0, rate=11.0))
    assert (limits.per_host, limits.per_prefix, limits.rate) == (3, 7.0, 11.0)


def test_a_reload_reaches_every_policy() -> None:
    first, second = Policy(), Policy()
    guard = Guard(first, Lists())
    guard.also(second)
    guard.update(Lists(block=NetSet.parse(["8.8.8.0/24"], "list")))
    assert first.blocked("8.8.8.8")
    assert second.blocked("8.8.8.8")
    third = Policy()  # a scan that read its lists just before the reload
    guard.also(third)
    assert third.blocked("8.8.8.8")


def test_an_order_reaches_every_policy_besides_the_lists() -> None:
    first, second = Policy(), Policy()
    guard = Guard(first, Lists())
    guard.heed(Standing.of([[Order("optout", "prefix", "8.8.8.0/24")]]))
    guard.also(second)
    guard.update(Lists(block=NetSet.parse(["9.9.9.0/24"], "list")))
    assert all(policy.blocked(ip) for policy in (first, second) for ip in ("8.8.8.8", "9.9.9.9"))
    guard.heed(Standing())
    assert not first.blocked("8.8.8.8")
    assert second.blocked("9.9.9.9")


async def test_lists_are_read_and_watched(tmp_path: Path) -> None:
    file = tmp_path / "block.txt"
    file.write_text("8.8.8.0/24\n")
    metrics = Metrics()
    async with guarded(ListSettings(blocklist_file=(str(file),), poll=0.05), metrics) as guard:
        assert guard.policy.blocked("8.8.8.8")
        assert not guard.policy.blocked("9.9.9.9")
        file.write_text("9.9.9.0/24\n")
        async with asyncio.timeout(10):
            while not guard.policy.blocked("9.9.9.9"):
                await asyncio.sleep(0.02)
        assert not guard.policy.blocked("8.8.8.8")
    assert metrics["longline_list_reloads"].value("ok") >= 1  # type: ignore[union-attr, call-arg]


def test_a_pipe_has_no_later_topic_and_a_log_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded = load_settings(argparse.Namespace())
    grounds = grounds_of(loaded, "bannergrab", 10, Policy(), Metrics())
    assert grounds.later is None
    assert grounds.text
    assert not grounds.shared
    monkeypatch.setenv("LONGLINE_BUS_URL", f"sqlite:{tmp_path}/bus.db")
    grounds = grounds_of(load_settings(argparse.Namespace()), "bannergrab", 10, Policy(), Metrics())
    assert grounds.later is not None
    assert grounds.shared


async def test_metrics_are_served_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(HealthServer, "__aenter__", _note(opened))
    async with watched(MetricsSettings(), Metrics(), {}):
        assert not opened
    async with watched(MetricsSettings(listen="127.0.0.1:0"), Metrics(), {}):
        assert len(opened) == 1


def _note(opened: list[object]) -> object:
    async def enter(server: HealthServer) -> HealthServer:
        opened.append(server)
        return server

    return enter
