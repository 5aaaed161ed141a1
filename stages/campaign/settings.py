"""Settings of who runs campaigns."""

from __future__ import annotations

from stages.core.settings import Section, opt


class CampaignSettings(Section):
    """Campaign: where what was done is kept"""

    journal: str = opt("campaign.db", "--journal", metavar="FILE", help="what campaigns have done, a SQLite file")
    folder: str = opt(
        "campaigns",
        "--campaign-folder",
        metavar="DIR",
        help="checkpoints of sweeps that have not ended",
    )
