"""Where the state of services is derived after a sweep: the one place at which a campaign meets that job."""

from __future__ import annotations

import logging

from stages.campaign.plan import Campaign
from stages.campaign.sweep import Swept
from stages.core.settings import Loaded

log = logging.getLogger("longline.campaign")


async def assess(loaded: Loaded, campaign: Campaign, swept: Swept) -> None:
    """Called once a complete sweep is stored and its loss estimated; again for the same sweep after a kill. `loaded`
    names the store and the log, `campaign.plan.down` says when a service is down."""
    log.info(
        "campaign %s: sweep %s is complete%s", campaign.plan.name, swept.scan, "" if swept.healthy else ", not healthy"
    )
