from __future__ import annotations

from stages.campaign.metrics import ENDS, CampaignMetrics, Standing
from stages.core.metrics import Metrics


def test_what_is_not_known_has_no_series() -> None:
    metrics = Metrics()
    told = CampaignMetrics(metrics)
    told.campaigns = {
        "a": Standing(counters={"loss": 0.02, "loss_low": None}, healthy=True),
        "b": Standing(late=3.0, windows=2),
    }
    text = metrics.render()[1].decode()
    assert 'longline_campaign_loss_ratio{campaign="a"} 0.02' in text
    assert 'longline_campaign_healthy{campaign="a"} 1.0' in text
    assert 'longline_campaign_late_seconds{campaign="b"} 3.0' in text
    assert 'longline_campaign_late_windows{campaign="b"} 2.0' in text
    for absent in ("loss_low_ratio{", 'loss_ratio{campaign="b"', 'healthy{campaign="b"'):
        assert absent not in text


def test_each_end_of_a_turn_can_be_counted() -> None:
    told = CampaignMetrics(Metrics())
    for end in ENDS:
        told.full.add(1, end)
    assert told.full.total == len(ENDS)
