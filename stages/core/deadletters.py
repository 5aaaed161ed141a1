"""Dead letters: what no stage can process, kept as it came, and the fuse that keeps a topic from drowning in them.

The line is the unit: of a message with a thousand records, the bad one goes, with its bytes untouched; what is known
about it stands in headers (`offset` is that of the chunk it stood in). Only what would fail every time goes there; an
error of the moment is tried again.

The fuse (after arroyo's dead-letter policy) tells a few bad records from a broken producer or a wrong topic: when more
than half of the last 1,000 records are dead, the stage stops rather than move the topic over. It judges records in the
order of the log, when they are part of the finished prefix, so that quick deaths do not count before slow successes.

Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from stages.core.bus.base import Output, Topics
from stages.core.errors import Fused
from stages.core.outcome import DeadReason

#: Characters of an error in a header; the whole text is in nobody's interest.
MAX_DETAIL: Final = 500

#: Records that the fuse looks back on. It does not judge before it has seen as many.
FUSE_WINDOW: Final = 1_000

#: Share of dead records above which it blows.
FUSE_SHARE: Final = 0.5


def dead_letter(
    topics: Topics, stage: str, line: bytes, reason: DeadReason, detail: str, at: tuple[str, int, int]
) -> Output:
    """`line` as a dead letter of `stage`; `at` is the topic, partition and offset where it stood."""
    topic, partition, offset = at
    return Output(
        topics.dead,
        b"%s/%d" % (topic.encode(), partition),
        line,
        {
            "stage": stage.encode(),
            "reason": reason.value.encode(),
            "error": detail[:MAX_DETAIL].encode(errors="replace"),
            "topic": topic.encode(),
            "partition": b"%d" % partition,
            "offset": b"%d" % offset,
        },
    )


class Fuse:
    """The last `window` records, in runs of (records, dead)."""

    def __init__(self, window: int = FUSE_WINDOW, share: float = FUSE_SHARE) -> None:
        self._window = window
        self._share = share
        self._runs: deque[tuple[int, int]] = deque()
        self._records = 0
        self._dead = 0

    def note(self, records: int, dead: int) -> None:
        """`records` more are finished, of which `dead` are dead; of a run longer than the window, its end counts.

        Raises Fused when the share is above the bound.
        """
        if not records:
            return
        self._runs.append((records, dead))
        self._records += records
        self._dead += dead
        while self._records - self._runs[0][0] >= self._window:
            old, old_dead = self._runs.popleft()
            self._records -= old
            self._dead -= old_dead
        if self._records >= self._window and self._dead > self._records * self._share:
            raise Fused(
                f"{self._dead} of the last {self._records} records are dead: stopping before the topic "
                "goes to the dead letters; look at the headers `reason` and `error` there"
            )
