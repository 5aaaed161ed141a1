"""How far stages are behind, looked up now and then for their metrics: it costs questions to the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from stages.core.errors import LonglineError
from stages.core.runner import Runner

log = logging.getLogger("longline.core.lag")

#: Seconds between two looks: as often as Prometheus usually comes by.
LOOK_SECONDS: Final = 15.0


@asynccontextmanager
async def looked_up(runners: Iterable[Runner], every: float = LOOK_SECONDS) -> AsyncIterator[None]:
    """Keep `records_behind` of these stages while the block lasts. A log that does not answer leaves it as it was."""
    tasks = [asyncio.create_task(_look(runner, every), name=f"{runner.name} lag") for runner in runners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _look(runner: Runner, every: float) -> None:
    while True:
        if runner.ready:
            try:
                runner.metrics.behind.set(await runner.lag())
            except LonglineError as error:
                log.debug("%s: how far it is behind cannot be told: %s", runner.name, error)
        await asyncio.sleep(every)
