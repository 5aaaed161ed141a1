"""A bannergrab over a pipe that is a list, and what came out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from stages.bannergrab.app import make_runner
from stages.bannergrab.settings import BannergrabSettings
from stages.core.bus.base import Chunk, OnRevoke, Output, Partition, Source, Topics
from stages.core.runner import Summary
from stages.core.settings import RunnerSettings

TOPICS = Topics()

QUICK = {"first_timeout": 0.4, "idle_timeout": 0.2, "conn_timeout": 2.0}


class ListSource:
    """A pipe that is at its end when its lines are taken."""

    ready = True

    def __init__(self, lines: Sequence[bytes]) -> None:
        self._lines = list(lines)
        self._taken = 0
        self.committed = 0

    @property
    def ended(self) -> bool:
        return self._taken == len(self._lines)

    async def start(self, on_revoke: OnRevoke) -> None:
        pass

    async def poll(self, max_records: int, timeout: float) -> list[Chunk]:
        first = self._taken
        lines = self._lines[first : first + max_records]
        self._taken += len(lines)
        return [Chunk("stdin", 0, first, first + len(lines), lines)] if lines else []

    async def commit(self, positions: dict[Partition, int]) -> None:
        self.committed = max([self.committed, *positions.values()])

    async def lag(self) -> int:
        return len(self._lines) - self.committed

    async def close(self) -> None:
        pass


@dataclass
class ListPublisher:
    """Keeps everything."""

    outputs: list[Output] = field(default_factory=list)
    ready: bool = True

    async def start(self) -> None:
        pass

    async def publish(self, outputs: Sequence[Output]) -> None:
        self.outputs += outputs

    async def settle(self, outputs: Sequence[Output], source: Source | None, positions: dict[Partition, int]) -> None:
        self.outputs += outputs
        if source is not None:
            await source.commit(positions)

    async def close(self) -> None:
        pass


@dataclass
class Run:
    """What a bannergrab gave."""

    summary: Summary
    lines: list[bytes]
    dead: list[Output]
    committed: int


async def run_lines(
    lines: Sequence[bytes],
    *,
    shared: bool = False,
    blocked: Callable[[str], bool] = lambda ip: False,
    text: bool = True,
    capacity: int | None = None,
    **settings: Any,
) -> Run:
    """Run a bannergrab over the lines."""
    source, publisher = ListSource(lines), ListPublisher()
    runner = make_runner(
        BannergrabSettings(**{**QUICK, **settings}),
        source=source,
        publisher=publisher,
        topics=TOPICS,
        runner=RunnerSettings(flush_age=0.01, drain_deadline=5.0),
        blocked=blocked,
        limits=None,
        shared=shared,
        text=text,
        capacity=capacity,
        scan="test",
    )
    summary = await runner.run()
    return Run(
        summary,
        [output.value for output in publisher.outputs if output.topic == TOPICS.banners],
        [output for output in publisher.outputs if output.topic == TOPICS.dead],
        source.committed,
    )


@pytest.fixture
def grab() -> Callable[..., Any]:
    return run_lines
