"""A stage for the tests of the loop: a record is a line `HOST NUMBER`, its result the same line.

`hold` keeps jobs in flight until `finish` is called; words in a line ask for other endings.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from stages.core.bus.base import Output, Topics
from stages.core.errors import RecordError
from stages.core.job import Job
from stages.core.outcome import DeadReason, Outcome
from stages.core.records import prefix_key

TOPICS = Topics("t")


def hit(n: int, host: str = "10.0.0.1", word: str = "") -> Output:
    return Output(TOPICS.hits, prefix_key(host), f"{host} {n} {word}".strip().encode())


class Echo:
    name = "echo"

    def __init__(self, hold: bool = False) -> None:
        self.hold = hold
        self.started = self.closed = self.cancelled = False
        self.held: list[Job] = []
        self.begun: list[bytes] = []
        self.most = 0
        self.active: Counter[str] = Counter()
        self.most_per_host: Counter[str] = Counter()
        self.on_take: Callable[[Sequence[Job]], None] | None = None
        self.local_until = 0  # more than so many at once do not fit into this host; 0: all do

    def decode(self, line: bytes) -> Any:
        if line.startswith(b"{bad"):
            raise RecordError(DeadReason.UNDECODABLE, "not a line of ours")
        if b"decode-bug" in line:
            raise ZeroDivisionError("in decode")
        if b"skip" in line:
            return None
        return line.decode().split()

    def target(self, record: Any) -> str | None:
        return str(record[0])

    def admit(self, record: Any) -> Sequence[Output] | None:
        if "blocked" in record:
            return [Output(TOPICS.banners, b"", b"blocked " + record[1].encode())]
        return None

    async def start(self) -> None:
        self.started = True

    def take(self, jobs: Sequence[Job]) -> None:
        if self.on_take is not None:
            self.on_take(jobs)
        for job in jobs:
            self.begun.append(job.line)
            host = job.record[0]
            self.active[host] += 1
            self.most_per_host[host] = max(self.most_per_host[host], self.active[host])
            self.held.append(job)
            self.most = max(self.most, len(self.held))
            if self.local_until and len(self.held) > self.local_until:
                self._end(self.held.pop()).local("too many open files")
        if not self.hold:
            asyncio.get_running_loop().call_soon(self.finish)

    def _end(self, job: Job) -> Job:
        self.active[job.record[0]] -= 1
        return job

    def finish(self, which: Callable[[Job], bool] = lambda _: True) -> None:
        held, self.held = self.held, []
        for job in held:
            if not which(job):
                self.held.append(job)
                continue
            self._end(job)
            if "dead" in job.record:
                job.dead(DeadReason.REFUSED, "the store says no")
            elif "later" in job.record:
                job.later(int(job.record[3]))
            else:
                outcome = Outcome.REFUSED if "refused" in job.record else Outcome.OK
                job.done([Output(TOPICS.banners, prefix_key(job.record[0]), job.line)], outcome)

    def cancel(self) -> None:
        self.cancelled = True
        self.held.clear()

    async def close(self) -> None:
        self.closed = True
