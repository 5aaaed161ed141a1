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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from stages.core.bus.base import Output, Topics
from stages.core.errors import Fused, RecordError
from stages.core.outcome import DeadReason
from stages.core.record_fields import b64, decoded
from stages.core.records import parse

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


def described(headers: Mapping[str, bytes], value: bytes, stage: str = "") -> dict[str, Any]:
    """A dead letter as one object (`stages.core.schema.DeadModel`). `stage`: whose it is where no header says so."""
    known = {name: text.decode(errors="replace") for name, text in headers.items()}
    return {
        "kind": "dead",
        "stage": known.get("stage", stage),
        "reason": known.get("reason"),
        "source": {
            "topic": known.get("topic"),
            "partition": int(known.get("partition", 0)),
            "offset": int(known.get("offset", 0)),
        },
        "error": known.get("error"),
        "original": b64(value),
    }


@dataclass(frozen=True, slots=True)
class Again:
    """A line to be put back, and the topic that it came from."""

    topic: str
    line: bytes


def again(line: bytes) -> Again:
    """Read one object of `described` for putting its line back: what `line` says, where somebody has mended it, else
    the bytes as they were. Raises RecordError: it is none, or the line is no record still."""
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RecordError(DeadReason.UNDECODABLE, str(error)) from None
    if not isinstance(said, dict) or said.get("kind") != "dead":
        raise RecordError(DeadReason.SCHEMA, "it is no dead letter as `longline dead show` writes them")
    source = said.get("source")
    topic = source.get("topic") if isinstance(source, dict) else None
    if not isinstance(topic, str) or not topic:
        raise RecordError(DeadReason.SCHEMA, f"source is {source!r}, which names no topic")
    mended = said.get("line")
    if mended is not None and not isinstance(mended, str):
        raise RecordError(DeadReason.SCHEMA, f"line is {mended!r}, not a string")
    whole = decoded(said.get("original"), "original") if mended is None else mended.strip().encode()
    parse(whole)
    return Again(topic, whole)


class Fuse:
    """The last `window` records, in runs of (records, dead)."""

    def __init__(self, window: int = FUSE_WINDOW, share: float = FUSE_SHARE) -> None:
        self._window = window
        self._share = share
        self._runs: deque[tuple[int, int]] = deque()
        self._records = 0
        self._dead = 0

    @property
    def dead_share(self) -> float:
        """Of the records that it remembers, 0-1."""
        return self._dead / max(self._records, self._window)

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
