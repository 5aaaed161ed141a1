from __future__ import annotations

from stages.campaign.settings import CampaignSettings


def test_where_things_are_kept_unless_told_otherwise() -> None:
    settings = CampaignSettings()
    assert (settings.journal, settings.folder) == ("campaign.db", "campaigns")
