"""`--max-lag` and `--on-lag` of a scan: what stands before the log, and how far the log's readers are behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from stages.cli.assembly import group_of, topics_of
from stages.core.bus.base import Publisher
from stages.core.bus.lagging import Lagging
from stages.core.bus.urls import topic_keeper
from stages.core.errors import UsageError
from stages.core.lifecycle import Life
from stages.core.settings import BusSettings, LagSettings, Loaded

#: Stages that take hits. A group that never took any is nobody to wait for.
READERS = ("bannergrab", "tlsgrab", "sink")


def lagging_of(
    loaded: Loaded, publisher: Publisher | None, scanner: str | None, on_dropped: Callable[[int], None]
) -> Lagging | None:
    """What `publisher` is put behind, None without a bound. `scanner`: whose hits have a topic of their own.

    Raises UsageError: the log is none whose readers can be asked.
    """
    settings = loaded.get("lag", LagSettings)
    if settings.max_lag is None:
        return None
    bus = loaded.get("bus", BusSettings)
    if publisher is None or not bus.sink.startswith("kafka:"):
        raise UsageError("--max-lag", settings.max_lag, "is for Kafka: a pipe and a SQLite log make the scan wait")
    topics, keeper = topics_of(bus), topic_keeper(bus.sink, bus)
    hits = [topics.hits, *([] if scanner is None else [topics.hits_of(scanner)])]

    async def behind() -> int:
        held = await keeper.holding({group_of(bus, stage): hits for stage in READERS})
        return max((holding.behind for holding in held if holding.known), default=0)

    spill = None if settings.spill_file is None else Path(settings.spill_file)
    return Lagging(
        publisher, frozenset(hits), behind, at_most=settings.max_lag, way=settings.on_lag, spill=spill,
        on_dropped=on_dropped,
    )  # fmt: skip


async def until_empty(lagging: Lagging, life: Life) -> None:
    """After a scan: wait until what was spilled is given back, or until told to stop."""
    emptied = asyncio.create_task(lagging.emptied(), name="lag emptied")
    stopping = asyncio.create_task(life.stopping.wait(), name="lag stopped")
    try:
        await asyncio.wait((emptied, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (emptied, stopping):
            task.cancel()
        await asyncio.gather(emptied, stopping, return_exceptions=True)
