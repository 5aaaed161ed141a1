"""A stage killed with SIGKILL at random points, over one SQLite file: nothing is lost.

Results stand before the position that covers them only while something before them is unfinished, so a record may be
done once more after each kill, never more often.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from stages.core.bus.base import Output
from stages.core.bus.sqlite import SqlitePublisher, SqliteSource

#: Records, kills, and the seconds within which a kill comes after the stage has begun.
RECORDS = 3_000
KILLS = 8
KILL_WITHIN = 0.08

STAGE = """
import asyncio, random, sys
from stages.core.bus.base import Output, Topics
from stages.core.bus.sqlite import SqlitePublisher, SqliteSource
from stages.core.job import Job
from stages.core.runner import Runner
from stages.core.settings import RunnerSettings

class Slow:
    name = "slow"
    def decode(self, line): return line
    def target(self, record): return None
    def admit(self, record): return None
    async def start(self): print("begun", flush=True)
    def take(self, jobs):
        loop = asyncio.get_running_loop()
        for job in jobs:
            if job.record.endswith(b"3"):
                loop.call_later(random.uniform(0, 0.02), self.answer, job)
            else:
                self.answer(job)
    def answer(self, job): job.done([Output("out", b"k", job.record)])
    def cancel(self): pass
    async def close(self): pass

async def main(path):
    source = SqliteSource(path, ["in"], "slow")
    runner = Runner(Slow(), source, SqlitePublisher(path), settings=RunnerSettings(flush_age=0.002, flush_records=50),
                    topics=Topics("t"), capacity=40)
    task = asyncio.create_task(runner.run())
    while not task.done():
        await asyncio.sleep(0.01)
        if runner.idle and await runner.lag() == 0:
            runner.stop()
    await task

asyncio.run(main(sys.argv[1]))
"""


async def everything(path: Path, topic: str) -> list[bytes]:
    source = SqliteSource(path, [topic], "reader")
    await source.start(nothing)
    lines: list[bytes] = []
    while chunks := await source.poll(1_000_000, 0.0):
        lines += [line for chunk in chunks for line in chunk.lines]
    await source.close()
    return lines


async def left(path: Path) -> int:
    """What the stage's group has not committed."""
    source = SqliteSource(path, ["in"], "slow")
    await source.start(nothing)
    lag = await source.lag()
    await source.close()
    return lag


async def nothing(_: object) -> None: ...


async def test_killed_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    publisher = SqlitePublisher(path)
    await publisher.start()
    wanted = [b"record %d" % n for n in range(RECORDS)]
    await publisher.publish([Output("in", b"k", line) for line in wanted])
    rnd = random.Random(7)
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", STAGE, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(rnd.uniform(0, KILL_WITHIN))
        process.kill()
        process.communicate(timeout=20)
    subprocess.run([sys.executable, "-c", STAGE, str(path)], check=True, timeout=60, stdout=subprocess.DEVNULL)
    lag = await left(path)
    counts = Counter(await everything(path, "out"))
    await publisher.close()
    assert set(counts) == set(wanted)
    assert max(counts.values()) <= KILLS + 1
    assert lag == 0
