"""Standing orders, as the settings of a process say where to hear of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from stages.core.bus.base import Broadcast, Topics
from stages.core.bus.urls import open_broadcast
from stages.core.errors import LonglineError, Ordered
from stages.core.heed import Heed, files_of_host
from stages.core.settings import PIPE, BusSettings, OrdersSettings

if TYPE_CHECKING:
    from stages.cli.assembly import Guard
    from stages.core.metrics import Metrics
    from stages.core.orders import Standing
    from stages.core.runner import Runner
    from stages.core.settings import Loaded
    from stages.scanner.summary import Summary


def heed_of(loaded: Loaded, metrics: Metrics | None, *, reads: bool = True, more: Sequence[str] = ()) -> Heed:
    """What a process hears: this host's orders, and those of the logs that it reads (`reads`) and writes. `more`: files
    besides."""
    bus = loaded.get("bus", BusSettings)
    urls = dict.fromkeys(url for url in ((bus.source, bus.sink) if reads else (bus.sink,)) if url != PIPE)
    topic = Topics(bus.prefix).orders
    topics: list[tuple[str, Callable[[], Broadcast]]] = [
        (f"{url} {topic}", partial(open_broadcast, url, topic, bus)) for url in urls
    ]
    files = files_of_host(loaded.get("orders", OrdersSettings).file)
    return Heed([*files, *more], topics, metrics)


def orders_of(state: str) -> str:
    """The file with the orders for the fleet of a coordinator, beside its state."""
    return f"{state}.orders"


@asynccontextmanager
async def heeded(heed: Heed | None, guard: Guard, runners: Sequence[Runner]) -> AsyncIterator[None]:
    """While the block lasts these heed the orders. They begin nothing until all that stands is known, however long a
    log may be out of reach. Raises HostError after the block, which is told to stop, for a log that refuses us."""
    if heed is None:
        yield
        return
    heed.listen(guard.heed)  # first: a stage asks the policy what is blocked now
    for runner in runners:
        heed.listen(runner.heed)

    def look_again() -> None:
        """Who is newly on a list may be in the middle of a conversation."""
        for runner in runners:
            runner.heed(heed.standing)

    guard.on_update = look_again
    refused: list[BaseException] = []

    async def start() -> None:
        try:
            await heed.start()
        except LonglineError as error:
            refused.append(error)
            for runner in runners:
                runner.stop()

    starting = asyncio.create_task(start(), name="orders")
    try:
        yield
        if refused:
            raise refused[0]
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await heed.close()


def leave_if_ordered(summary: Summary, standing: Standing) -> None:
    """Raise Ordered for a scan that an order has ended before it was done."""
    from stages.scanner.summary import ORDERED

    if summary.reason == ORDERED:
        what = f"scan {summary.scan} was ended at {summary.position} of {summary.targets}"
        if (order := standing.against(summary.scan)) is None:
            raise Ordered(what, "the order does not stand any more", None)
        raise Ordered(what, order.text(), order.name)
