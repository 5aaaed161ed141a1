"""What the stage loop costs: a null stage over the memory bus, in batches of lines.

    python -m tests.bench.bench_runner [records]

Prints CPU time a record (user and system, of the whole process: bus, decode, jobs, settling), min/median/max of some
rounds, for lines that the stage hands on as they are, and for hits that are parsed and written again.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from stages.core.bus.base import Output, Topics
from stages.core.bus.memory import MemoryBus
from stages.core.lifecycle import calm_collector
from stages.core.politeness import Gate, Limits
from stages.core.records import Hit, parse
from stages.core.runner import Job, Runner
from stages.core.settings import RunnerSettings
from tests.bench.rows import measured

ROUNDS = 5
BATCH_LINES = 500
TOPICS = Topics("bench")


class Null:
    """Hands every line on."""

    name = "null"

    def decode(self, line: bytes) -> Any:
        return line

    def target(self, record: Any) -> str | None:
        return None

    def admit(self, record: Any) -> Sequence[Output] | None:
        return None

    async def start(self) -> None:
        return None

    def take(self, jobs: Sequence[Job]) -> None:
        topic = TOPICS.banners
        for job in jobs:
            job.done((Output(topic, b"10.0.0", job.record),))

    def cancel(self) -> None:
        return None

    async def close(self) -> None:
        return None


class Polite(Null):
    """The same with parsed hits, met politely."""

    def decode(self, line: bytes) -> Any:
        return parse(line)

    def target(self, record: Any) -> str | None:
        return str(record.ip)

    def take(self, jobs: Sequence[Job]) -> None:
        topic = TOPICS.banners
        for job in jobs:
            job.done((Output(topic, b"10.0.0", job.line),))


def hit(i: int) -> Output:
    record = Hit("bench", 1_700_000_000_000_000 + i, f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}", 80)
    return Output(TOPICS.hits, b"%d" % (i // BATCH_LINES), record.dump())


async def measure(stage: Callable[[], Null], records: int, gate: bool) -> float:
    """Microseconds of CPU a record."""
    bus = MemoryBus(4)
    await bus.publisher(BATCH_LINES).publish([hit(i) for i in range(records)])
    runner = Runner(
        stage(),
        bus.source([TOPICS.hits], "bench"),
        bus.publisher(BATCH_LINES),
        settings=RunnerSettings(),
        gate=Gate(Limits(per_host=2)) if gate else None,
        topics=TOPICS,
    )
    began = time.process_time()
    task = asyncio.create_task(runner.run())
    while runner.summary.done < records or not runner.idle:
        await asyncio.sleep(0.005)
    spent = time.process_time() - began
    runner.stop()
    await task
    return spent / records * 1e6


def main() -> None:
    calm_collector()
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    for name, stage, gate in (("null", Null, False), ("parsed, polite", Polite, True)):
        figures = [asyncio.run(measure(stage, records, gate)) for _ in range(ROUNDS)]
        measured(f"stage loop, {name}: CPU a record", figures, "us")


if __name__ == "__main__":
    main()
