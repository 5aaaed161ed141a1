"""The flusher: publishes results, then commits what they came from, in groups, for as long as it takes.

A group is everything finished when the last one was acknowledged, or when enough records or bytes or time have come
together. One group is out at a time, so that positions are committed in order. What fails for a moment (`retry`) is
tried again with bounded back-off for ever: nothing is lost, and readiness and metrics show it. Other errors end it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from stages.core.bus.base import Publisher
from stages.core.errors import LonglineError
from stages.core.feed import Feed, Group
from stages.core.pacing import backoff
from stages.core.runner_metrics import RunnerMetrics

log = logging.getLogger("longline.core.settler")

#: Seconds until a failed settle is tried again, at first and at most: a broker is back within seconds or not at all.
RETRY_FIRST: Final = 0.1
RETRY_CEILING: Final = 5.0


class Settler:
    """Settles one feed. `age` is how many seconds a result may wait for company."""

    def __init__(self, feed: Feed, publisher: Publisher, metrics: RunnerMetrics, age: float) -> None:
        self.failing = False
        self._feed = feed
        self._publisher = publisher
        self._metrics = metrics
        self._age = age
        self._hurry = False
        self._clean = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Raises what is not worth another try."""
        feed = self._feed
        try:
            while True:
                if feed.clean:
                    self._clean.set()
                    await feed.news.wait()
                    self._clean.clear()
                if not self._hurry:
                    await self._gather()
                group = feed.hand_out()
                if group.outputs or group.positions:
                    await self._settle(group)
                feed.settled(group)
        finally:
            self._clean.set()  # nobody waits for what will not come

    async def flush(self, timeout: float) -> bool:
        """Settle everything finished so far without waiting for more; False if `timeout` seconds were not enough."""
        feed = self._feed
        if feed.clean:
            return True
        self._hurry = True
        self._clean.clear()
        feed.news.set()
        feed.enough.set()
        try:
            async with asyncio.timeout(timeout):
                await self._clean.wait()
        except TimeoutError:
            return False
        finally:
            self._hurry = False
        return feed.clean

    async def _gather(self) -> None:
        """Wait until there is enough, or the first result is old enough."""
        try:
            async with asyncio.timeout(self._age):
                await self._feed.enough.wait()
        except TimeoutError:
            return

    async def _settle(self, group: Group) -> None:
        loop = asyncio.get_running_loop()
        metrics = self._metrics
        attempt = 0
        began = loop.time()
        while True:
            try:
                await self._publisher.settle(group.outputs, self._feed.source, group.positions)
            except LonglineError as error:
                if not error.retry:
                    raise
                self.failing = True
                wait = backoff(attempt, RETRY_FIRST, RETRY_CEILING)
                log.warning("%d results not acknowledged, next try in %.1f s: %s", len(group.outputs), wait, error)
                metrics.retries.add(1, "settle")
                attempt += 1
                await asyncio.sleep(wait)
            else:
                break
        if self.failing:
            self.failing = False
            log.info("results are acknowledged again after %.1f s", loop.time() - began)
        metrics.settle_seconds.observe(loop.time() - began)
        metrics.published.add(len(group.outputs))
        metrics.settled_at.set(time.time())
