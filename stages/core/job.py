"""One record in flight, and what a stage is: a function from records to records, in batches.

A stage never sees the log. The runner hands it jobs (`Stage.take`), and each job is finished by exactly one of `done`,
`dead`, `local`, `later`, `further` and `recalled`, at any later time, from the thread of the event loop. Finishing is
cheap: the job lays itself on the runner's desk, and the runner clears the desk once per turn of the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final, Protocol

from stages.core.bus.base import Output
from stages.core.offsets import Entry
from stages.core.outcome import DeadReason, Outcome

log = logging.getLogger("longline.core.job")


class End(IntEnum):
    """How a job was finished."""

    OPEN = 0
    DONE = 1
    DEAD = 2
    LOCAL = 3
    LATER = 4
    FURTHER = 5
    RECALLED = 6


_OPEN: Final = End.OPEN
_DONE: Final = End.DONE


class Desk:
    """Where finished jobs lie until the runner takes them; `wake` is called when the first one comes.

    `owner` is the feed whose jobs they are.
    """

    __slots__ = ("jobs", "owner", "wake")

    owner: Any

    def __init__(self, wake: Callable[[], None]) -> None:
        self.jobs: list[Job] = []
        self.wake = wake


class Job:
    """One record in flight. `record` is what `Stage.decode` returned; the rest is the runner's."""

    __slots__ = (
        "desk",
        "detail",
        "end",
        "entry",
        "host",
        "line",
        "more",
        "not_before",
        "outputs",
        "record",
        "tries",
        "word",
    )

    outputs: Sequence[Output]
    more: Sequence[tuple[Any, bytes]]
    word: Outcome | DeadReason
    detail: str
    not_before: int

    def __init__(self, record: Any, desk: Desk, entry: Entry, line: bytes, host: str | None = None) -> None:
        self.record = record
        self.entry = entry
        self.line = line
        self.host = host
        self.tries = 0
        self.end = _OPEN
        self.desk = desk

    def done(
        self,
        outputs: Sequence[Output] = (),
        outcome: Outcome = Outcome.OK,
        more: Sequence[tuple[Any, bytes]] = (),
    ) -> None:
        """Finished: `outputs` are published, then the input is committed. `outcome` is for the counters only.

        `more`: records of the same host that follow from this one, each with the line to put off where politeness
        delays it. They wait at the gate like any other, and the input is committed when they are finished too.
        """
        if self.end is not _OPEN:
            return self._again()
        self.end = _DONE
        self.outputs = outputs
        self.more = more
        self.word = outcome
        desk = self.desk
        if not desk.jobs:
            desk.wake()
        desk.jobs.append(self)

    def dead(self, reason: DeadReason, detail: str) -> None:
        """It can never be processed: the original line goes to the dead letters."""
        self.word = reason
        self._finish(End.DEAD, detail)

    def local(self, detail: str) -> None:
        """This host is at its limit: fewer at once, and this one again a little later, a bounded number of times."""
        self._finish(End.LOCAL, detail)

    def later(self, not_before_us: int) -> None:
        """Not now, but at `not_before_us` (microseconds since the epoch) or later, without holding up its partition."""
        self.not_before = not_before_us
        self._finish(End.LATER, "")

    def further(self, record: Any) -> None:
        """Not finished: it needs another connection, as `record`, which waits at the gate for its turn."""
        self.record = record
        self._finish(End.FURTHER, "")

    def recalled(self) -> None:
        """Not finished, and not by its own fault: it is begun anew, one try older, as soon as it may be."""
        self._finish(End.RECALLED, "")

    def again(self) -> Job:
        """The same record as a new job, one try older."""
        job = Job(self.record, self.desk, self.entry, self.line, self.host)
        job.tries = self.tries + 1
        return job

    def _finish(self, end: End, detail: str) -> None:
        if self.end is not _OPEN:
            return self._again()
        self.end = end
        self.detail = detail
        desk = self.desk
        if not desk.jobs:
            desk.wake()
        desk.jobs.append(self)

    def _again(self) -> None:
        log.error("a job was finished twice; the first time counts")


class Stage(Protocol):
    """What the runner runs."""

    name: str  #: `bannergrab`

    def decode(self, line: bytes) -> Any:
        """One line as a record. None: not ours (routing), it is counted and committed. Raises RecordError."""

    def target(self, record: Any) -> str | None:
        """The address to be polite to; None: nobody."""

    def admit(self, record: Any) -> Sequence[Output] | None:
        """The check at intake. None: go on; outputs: it is answered already."""

    async def start(self) -> None: ...

    def take(self, jobs: Sequence[Job]) -> None:
        """Begin. Must not block."""

    def cancel(self) -> None:
        """The deadline has passed: drop what is in flight; nobody waits for it any more."""

    async def close(self) -> None: ...
