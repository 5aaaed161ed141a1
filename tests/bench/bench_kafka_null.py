"""What a hit costs a stage that does nothing, through a real Kafka broker: `python -m tests.bench.bench_kafka_null`.

    bus     poll, parse, build the result, publish, commit: the transport and the least that a stage must do
    runner  the same under the stage loop, with its jobs, offsets and settling

each with one record a message and with 100. CPU of this process (user and system; the broker's is not in it) divided
by the hits, on uvloop; hits of about 190 bytes, keys by /24, 4 partitions, acks=all, idempotent. Prints minimum, median
and maximum of the rounds and the ratio to the bar.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import uvloop

from stages.core.bus.base import Output, Partition, Topics
from stages.core.bus.kafka import KafkaPublisher, KafkaSource
from stages.core.bus.kafka_options import KafkaOptions
from stages.core.lifecycle import calm_collector
from stages.core.runner import Job, Runner
from stages.core.settings import RunnerSettings
from tests.servers.kafka import KafkaServer

RECORDS = 200_000
ROUNDS = 5
POLL = 2_000
BATCH_LINES = 100
BARS = {1: 15.0, BATCH_LINES: 6.0}  #: microseconds of CPU a hit
TOPICS = Topics("bench")


def hit(i: int) -> Output:
    key = b"10.%d.%d" % (i >> 16 & 255, i >> 8 & 255)
    record = {"ip": f"{key.decode()}.{i & 255}", "port": 443, "ts": 1_795_240_053 + i, "scan": "s", "note": "x" * 100}
    return Output(TOPICS.hits, key, orjson.dumps(record))


def result(line: bytes) -> Output:
    """The least that a stage does: parse, build, dump, key."""
    d = orjson.loads(line)
    ip = d["ip"]
    made = {"ip": ip, "port": d["port"], "ts": d["ts"], "scan": d["scan"], "outcome": "ok", "note": d["note"]}
    return Output(TOPICS.banners, ip[: ip.rindex(".")].encode(), orjson.dumps(made))


class Null:
    """As a stage of the runner."""

    name = "null"

    def decode(self, line: bytes) -> Any:
        return orjson.loads(line)

    def target(self, record: Any) -> str | None:
        return None

    def admit(self, record: Any) -> Sequence[Output] | None:
        return None

    async def start(self) -> None:
        return None

    def take(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            d = job.record
            ip = d["ip"]
            made = {"ip": ip, "port": d["port"], "ts": d["ts"], "scan": d["scan"], "outcome": "ok", "note": d["note"]}
            job.done((Output(TOPICS.banners, ip[: ip.rindex(".")].encode(), orjson.dumps(made)),))

    def cancel(self) -> None:
        return None

    async def close(self) -> None:
        return None


async def never(_: object) -> None:
    """One member: nothing is revoked."""


async def fill(options: KafkaOptions) -> None:
    publisher = KafkaPublisher(options)
    await publisher.start()
    for start in range(0, RECORDS, 5_000):
        await publisher.publish([hit(i) for i in range(start, start + 5_000)])
    await publisher.close()


async def by_hand(options: KafkaOptions, group: str) -> float:
    source, publisher = KafkaSource(options, [TOPICS.hits], group), KafkaPublisher(options)
    await source.start(never)
    await publisher.start()
    seen = 0
    began = time.process_time()
    while seen < RECORDS:
        made: list[Output] = []
        positions: dict[Partition, int] = {}
        for chunk in await source.poll(POLL, 1.0):
            positions[chunk.topic, chunk.partition] = chunk.next_offset
            made += [result(line) for line in chunk.lines]
        seen += len(made)
        await publisher.settle(made, source, positions)
    spent = time.process_time() - began
    await source.close()
    await publisher.close()
    return spent / RECORDS * 1e6


async def by_runner(options: KafkaOptions, group: str) -> float:
    source = KafkaSource(options, [TOPICS.hits], group)
    runner = Runner(Null(), source, KafkaPublisher(options), settings=RunnerSettings(), topics=TOPICS)
    began = time.process_time()
    task = asyncio.create_task(runner.run())
    while runner.summary.done < RECORDS or not runner.idle:
        await asyncio.sleep(0.01)
    spent = time.process_time() - began  # its start is in it
    runner.stop()
    await task
    return spent / RECORDS * 1e6


def main() -> int:
    calm_collector()
    good = True
    with tempfile.TemporaryDirectory() as folder, KafkaServer(Path(folder)) as server:
        for batch_lines, bar in BARS.items():
            names = Topics(f"bench{batch_lines}")
            globals()["TOPICS"] = names
            options = KafkaOptions((server.bootstrap,), partitions=4, batch_lines=batch_lines)
            uvloop.run(fill(options))
            ways: list[tuple[str, Callable[[KafkaOptions, str], Awaitable[float]]]]
            ways = [("bus", by_hand), ("runner", by_runner)]
            figures: dict[str, list[float]] = {name: [] for name, _ in ways}
            for n in range(ROUNDS):
                for name, way in ways:
                    figures[name].append(uvloop.run(way(options, f"{name}-{n}")))  # type: ignore[arg-type]
            for name, spent in figures.items():
                middle = statistics.median(spent)
                good &= middle <= bar
                print(
                    f"{batch_lines} records a message, {name}: {min(spent):.2f} / {middle:.2f} / {max(spent):.2f} us"
                    f" CPU a hit (bar {bar:g}: {middle / bar:.2f} of it)",
                    flush=True,
                )
    print(f"load {os.getloadavg()[0]:.1f}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
