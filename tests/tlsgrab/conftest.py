"""A whole tlsgrab over the memory bus, and what came out of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from stages.core.bus.base import Output, Topics
from stages.core.bus.memory import MemoryBus, Message
from stages.core.metrics import Metrics
from stages.core.outcome import Outcome, Phase
from stages.core.records import Hit, Tls, parse
from stages.core.runner import Summary
from stages.core.settings import RunnerSettings
from stages.tlsgrab.app import make_runner
from stages.tlsgrab.settings import TlsgrabSettings

TOPICS = Topics()

#: Seconds for everything one test asks for.
DEADLINE = 20.0

#: Short times; what answers is on this host.
QUICK = {"handshake_timeout": 1.0, "conn_timeout": 2.0}

Target = tuple[str, int]


@dataclass
class Grabbed:
    summary: Summary
    records: list[Tls]
    dead: list[Message]
    metrics: Metrics

    def of(self, target: Target, name: str | None = None) -> Tls:
        (record,) = (r for r in self.records if (r.ip, r.port) == target and r.name == name)
        return record

    def ends(self, target: Target) -> tuple[Outcome, Phase]:
        return self.of(target).outcome, self.of(target).phase


def hit(target: Target, name: str | None = None, **fields: Any) -> bytes:
    """A line of the log of hits."""
    return Hit(scan="test", ts=1_700_000_000_000_000, ip=target[0], port=target[1], name=name, **fields).dump()


async def grab(
    lines: Sequence[bytes],
    *,
    shared: bool = True,
    ports: str | None = "*",
    blocked: Callable[[str], bool] = lambda _: False,
    **settings: Any,
) -> Grabbed:
    """Hand the lines to a tlsgrab, wait until all is settled, drain. `shared`: the log holds records, not lines."""
    bus, metrics = MemoryBus(partitions=2), Metrics()
    publisher = bus.publisher()
    await publisher.publish([Output(TOPICS.hits, b"%d" % number, line) for number, line in enumerate(lines)])
    runner = make_runner(
        TlsgrabSettings(**({"ports": ports} | QUICK | settings)),
        source=bus.source([TOPICS.hits], "tlsgrab"),
        publisher=publisher,
        topics=TOPICS,
        runner=RunnerSettings(flush_age=0.01, drain_deadline=5.0),
        blocked=blocked,
        limits=None,
        shared=shared,
        scan="test",
        metrics=metrics,
    )
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(DEADLINE):
            while not running.done() and (bus.lag("tlsgrab") or not runner.idle):
                await asyncio.sleep(0.01)
    finally:
        runner.stop()
        summary = await running
    records = [parse(line) for line in bus.lines(TOPICS.tls)]
    assert all(isinstance(record, Tls) for record in records)
    return Grabbed(summary, records, bus.messages(TOPICS.dead), metrics)  # type: ignore[arg-type]


@pytest.fixture
def tlsgrab() -> Callable[..., Any]:
    return grab


@pytest.fixture
def hit_line() -> Callable[..., bytes]:
    return hit
