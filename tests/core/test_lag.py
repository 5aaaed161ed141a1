from __future__ import annotations

import asyncio

from stages.core.bus.memory import MemoryBus
from stages.core.errors import Unavailable
from stages.core.lag import looked_up
from tests.core.echo import TOPICS, Echo
from tests.core.test_runner import make, numbered, running, until

SOON = 0.005


async def test_how_far_a_stage_is_behind_is_looked_up_while_it_runs() -> None:
    bus, stage = MemoryBus(2), Echo(hold=True)
    runner = make(bus, stage)
    behind = runner.metrics.behind
    async with running(runner), looked_up([runner], SOON):
        await numbered(bus, 30)
        await until(lambda: behind.value == 30)
        stage.hold = False
        stage.finish()
        await until(lambda: behind.value == 0)
    assert [task for task in asyncio.all_tasks() if task.get_name().endswith(" lag")] == []


async def test_a_log_that_does_not_answer_leaves_it_as_it_was() -> None:
    bus, stage = MemoryBus(2), Echo(hold=True)
    source = bus.source([TOPICS.hits], "echo")
    runner = make(bus, stage, source=source)
    behind, asked = runner.metrics.behind, 0

    async def no_answer() -> int:
        nonlocal asked
        asked += 1
        raise Unavailable("no answer")

    async with running(runner), looked_up([runner], SOON):
        await numbered(bus, 5)
        await until(lambda: behind.value == 5)
        source.lag = no_answer  # type: ignore[method-assign]
        await until(lambda: asked >= 2)
        assert behind.value == 5
        stage.finish()
