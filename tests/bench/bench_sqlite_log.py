"""How fast the SQLite bus is at synchronous=FULL: `python -m tests.bench.bench_sqlite_log`.

    log     one producer and one consumer at once; a record counts when its position is committed
    stages  producer -> stage (reads one topic, writes another, settles) -> consumer

Beside them, in the same run, what the disk gives: commits of one page a second with plain sqlite3. Values are hits of
about 190 bytes; the clock runs from the first append to the last commit. Prints minimum, median and maximum of the
rounds.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from stages.core.bus.base import Output, Partition
from stages.core.bus.sqlite import SqlitePublisher, SqliteSource

RECORDS = 300_000
BATCH = 1_000
ROUNDS = 5
BAR_LOG, BAR_STAGES = 100_000, 50_000


def outputs(topic: str, start: int, count: int) -> list[Output]:
    made = []
    for i in range(start, start + count):
        key = b"10.%d.%d" % (i >> 16 & 255, i >> 8 & 255)
        hit = {"ip": f"{key.decode()}.{i & 255}", "port": 443, "scan": "s", "seq": i, "note": "x" * 110}
        made.append(Output(topic, key, orjson.dumps(hit)))
    return made


async def revoked(_: object) -> None:
    """Nobody revokes a partition of a file."""


async def produce(path: Path, batches: list[list[Output]]) -> None:
    publisher = SqlitePublisher(path)
    await publisher.start()
    for batch in batches:
        await publisher.publish(batch)
    await publisher.close()


async def consume(path: Path, topic: str, group: str, into: str | None = None) -> None:
    source, publisher = SqliteSource(path, [topic], group), SqlitePublisher(path)
    await source.start(revoked)
    await publisher.start()
    seen = 0
    while seen < RECORDS:
        made: list[Output] = []
        positions: dict[Partition, int] = {}
        for chunk in await source.poll(BATCH * 2, 1.0):
            seen += len(chunk.lines)
            positions[chunk.topic, chunk.partition] = chunk.next_offset
            if into is not None:
                made.extend([Output(into, b"k", line) for line in chunk.lines])
        await publisher.settle(made, source, positions)
    assert await source.lag() == 0
    await source.close()
    await publisher.close()


async def log_round(path: Path, batches: list[list[Output]]) -> None:
    await asyncio.gather(produce(path, batches), consume(path, "hits", "g"))


async def stage_round(path: Path, batches: list[list[Output]]) -> None:
    await asyncio.gather(
        produce(path, batches), consume(path, "hits", "grab", "banners"), consume(path, "banners", "sink")
    )


def disk(folder: str) -> float:
    """Commits of one small row a second."""
    connection = sqlite3.connect(Path(folder) / "disk.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (a)")
    start = time.perf_counter()
    for i in range(200):
        connection.execute("INSERT INTO t VALUES (?)", (i,))
    elapsed = time.perf_counter() - start
    connection.close()
    return 200 / elapsed


def main() -> int:
    batches = [outputs("hits", start, BATCH) for start in range(0, RECORDS, BATCH)]
    rounds: list[tuple[str, Callable[[Path, list[list[Output]]], Awaitable[None]], int]] = [
        ("log", log_round, BAR_LOG),
        ("stages", stage_round, BAR_STAGES),
    ]
    rates: dict[str, list[float]] = {name: [] for name, _, _ in rounds}
    cpu: dict[str, list[float]] = {name: [] for name, _, _ in rounds}
    commits = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            commits.append(disk(folder))
            for name, work, _ in rounds:
                start, used = time.perf_counter(), time.process_time()

                async def run(work=work, path=Path(folder) / f"{name}.db") -> None:  # type: ignore[no-untyped-def]
                    await work(path, batches)

                asyncio.run(run())
                rates[name].append(RECORDS / (time.perf_counter() - start))
                cpu[name].append((time.process_time() - used) / RECORDS * 1e6)
    print(f"disk: {min(commits):.0f} / {statistics.median(commits):.0f} / {max(commits):.0f} commits/s")
    good = True
    for name, _, bar in rounds:
        low, middle, high = min(rates[name]), statistics.median(rates[name]), max(rates[name])
        good &= middle >= bar
        print(
            f"{name}: {low:,.0f} / {middle:,.0f} / {high:,.0f} records/s, {statistics.median(cpu[name]):.2f} us CPU a"
            f" record (bar {bar:,}: {middle / bar:.2f} x)"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
