"""Where the state of services is derived after a sweep: the one place at which a campaign meets that job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from stages.campaign.plan import Campaign
from stages.campaign.sweep import Swept
from stages.cli.assembly import topics_of
from stages.core.bus.base import Output, Publisher
from stages.core.bus.urls import open_publisher
from stages.core.events import Event
from stages.core.settings import BusSettings, Loaded, StoreSettings
from stages.derive import assess, availability
from stages.sink.app import open_history
from stages.sink.settings import SinkSettings

log = logging.getLogger("longline.campaign")


class Assessments:
    """Of the campaigns of one process, over one store. One at a time: the job is no two at once."""

    def __init__(self, loaded: Loaded) -> None:
        """`loaded` names the store and the log."""
        self._loaded = loaded
        self._turn = asyncio.Lock()

    async def assess(self, campaign: Campaign, swept: Swept) -> None:
        """Called once a complete sweep is stored and its loss estimated; again for the same sweep after a kill. Events
        go to the store and to the log. Raises Unavailable, HostError: to be done again."""
        bus = self._loaded.get("bus", BusSettings)
        topics, down = topics_of(bus), campaign.plan.down
        history = open_history(self._loaded.get("store", StoreSettings), self._loaded.get("sink", SinkSettings))
        publisher: Publisher = open_publisher(bus.sink, bus, main=topics.events, stage="campaign")

        async def publish(events: Sequence[Event]) -> None:
            await publisher.publish([Output(topics.events, event.key, event.dump()) for event in events])

        judged = availability.Swept(
            scan=swept.scan, vantage=swept.vantage, started=swept.started, ended=swept.ended,
            healthy=swept.healthy, complete=swept.complete, covers=swept.covers,
        )  # fmt: skip
        async with self._turn:
            try:
                await history.open()
                await publisher.start()
                rules = availability.Rules(misses=down.misses, vantages=down.vantages)
                summary = await assess.assess(history, judged, rules, publish)
            finally:
                await publisher.close()
                await history.close()
        log.info(
            "campaign %s: sweep %s is complete%s: %d services looked at, %d missed, %d down; events: %s",
            campaign.plan.name, swept.scan, "" if swept.healthy else ", not healthy",
            summary.services, summary.missed, summary.down,
            ", ".join(f"{count} {name}" for name, count in summary.events.items()) or "none",
        )  # fmt: skip
