"""Recording rules and alerts, as Prometheus reads them. Pure.

Each alert says what is wrong in `summary`, and where to read what to do in `runbook`: docs/operations.md has a heading
for it, which a test holds. Severity `page` is for what loses data or stands still, `ticket` for what can wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from deploy.monitoring.panels import LOOPED

RUNBOOK: Final = "docs/operations.md#"

#: The share of its usual self at which a hit rate counts as collapsed.
COLLAPSED: Final = 0.2
#: Of received packets.
DROPS: Final = 0.001
#: Records behind below which growth is no trouble: what a worker has in hand.
BEHIND: Final = 20_000
#: Seconds.
OLD: Final = 900
HEARTBEAT: Final = 120
LOOP: Final = 1
#: Dead letters in a quarter of an hour.
DEAD: Final = 100
#: Half of where the fuse blows (`stages.core.deadletters.FUSE_SHARE`).
FUSE: Final = 0.25
#: Two weeks.
EXPIRY: Final = 14 * 86_400
#: Share of open targets that a sweep may miss: one probe of a good line misses 1 to 3 %.
LOSS: Final = 0.05
#: Starts in half an hour.
RESTARTS: Final = 3


@dataclass(frozen=True)
class Alert:
    name: str
    expr: str
    lasting: str
    severity: Literal["page", "ticket"]
    summary: str

    def rule(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "runbook": RUNBOOK + self.name.lower()},
        }


def recordings() -> Iterator[dict[str, Any]]:
    """The stages' metrics under one name, with the stage as a label; and the hit rate."""
    success = 'longline_scanner_answers_total{classification=~"synack|echoreply|udp"}'
    yield {
        "record": "longline:scanner_hit_ratio:rate10m",
        "expr": f"sum(rate({success}[10m])) / (sum(rate(longline_scanner_probes_sent_total[10m])) > 0)",
    }
    each = {
        "longline:records_behind:max": "max(longline_{stage}_records_behind)",
        "longline:record_age_seconds:p90": (
            "histogram_quantile(0.9, sum by (le) (rate(longline_{stage}_record_age_seconds_bucket[10m])))"
        ),
        "longline:dead_letters:increase15m": "sum(increase(longline_{stage}_dead_letters_total[15m]))",
        "longline:dead_share:max": "max(longline_{stage}_dead_share)",
        "longline:ready:min": "min by (instance) (longline_{stage}_ready)",
    }
    for record, expr in each.items():
        for stage in LOOPED:
            yield {"record": record, "expr": expr.format(stage=stage), "labels": {"stage": stage}}


ALERTS: Final = (
    Alert(
        "LonglineDown", 'up{job=~"longline.*"} == 0', "2m", "page",
        "{{ $labels.instance }} does not answer a scrape",
    ),
    Alert(
        "LonglineNotReady", "longline:ready:min == 0", "5m", "page",
        "{{ $labels.stage }} on {{ $labels.instance }} has no partitions, no log or no store",
    ),
    Alert(
        "LonglineRestarting", f'changes(process_start_time_seconds{{job=~"longline.*"}}[30m]) >= {RESTARTS}', "0m",
        "page",
        "{{ $labels.instance }} starts again and again",
    ),
    Alert(
        "LonglineScannerStalled",
        "longline_scanner_running == 1 and longline_scanner_paused == 0 and "
        "longline_scanner_position < longline_scanner_targets and "
        "increase(longline_scanner_probes_sent_total[5m]) == 0", "2m", "page",
        "the scan on {{ $labels.instance }} sends nothing, and nothing holds it back",
    ),
    Alert(
        "LonglineScannerHeldBack", "longline_scanner_paused == 1", "15m", "ticket",
        "the scan on {{ $labels.instance }} waits for those who take its hits",
    ),
    Alert(
        "LonglineHitRateCollapsed",
        f"longline:scanner_hit_ratio:rate10m < {COLLAPSED} * avg_over_time(longline:scanner_hit_ratio:rate10m[6h])",
        "10m", "page", "the hit rate is {{ $value | humanizePercentage }}, less than a fifth of the last six hours'",
    ),
    Alert(
        "LonglineReceiveDrops",
        "sum by (instance) (rate(longline_scanner_ring_drops_total[5m])) / "
        f"sum by (instance) (rate(longline_scanner_packets_received_total[5m])) > {DROPS}", "5m", "page",
        "{{ $labels.instance }} loses {{ $value | humanizePercentage }} of what it receives",
    ),
    Alert(
        "LonglineLagGrowing",
        f"longline:records_behind:max > {BEHIND} and deriv(longline:records_behind:max[15m]) > 0", "15m", "ticket",
        "{{ $labels.stage }} is {{ $value | humanize }} records behind, and falls back further",
    ),
    Alert(
        "LonglineRecordsAgeing", f"longline:record_age_seconds:p90 > {OLD}", "10m", "ticket",
        "records are {{ $value | humanizeDuration }} old when {{ $labels.stage }} takes them",
    ),
    Alert(
        "LonglineHeartbeatLate",
        f"max(longline_sink_heartbeat_age_seconds) > {HEARTBEAT} and on () max(longline_scanner_running) == 1", "5m",
        "ticket", "what scanners say takes {{ $value | humanizeDuration }} to the store",
    ),
    Alert(
        "LonglineDeadLetters", f"longline:dead_letters:increase15m > {DEAD}", "0m", "ticket",
        "{{ $value | humanize }} records that {{ $labels.stage }} cannot process in a quarter of an hour",
    ),
    Alert(
        "LonglineFuse", f"longline:dead_share:max > {FUSE}", "0m", "page",
        "{{ $value | humanizePercentage }} of what {{ $labels.stage }} reads is dead: above a half it stops",
    ),
    Alert(
        "LonglineSinkErrors",
        "longline_sink_store_reachable == 0 or "
        "sum by (instance) (increase(longline_sink_write_failures_total[5m])) > 0", "5m", "page",
        "the sink on {{ $labels.instance }} cannot write",
    ),
    Alert(
        "LonglineCertificateExpires",
        '{__name__=~"longline_(kafka|mongodb)_client_certificate_expiry_timestamp_seconds"} - time() < '
        f"{EXPIRY}", "1h", "ticket",
        "the certificate that {{ $labels.instance }} shows ends in {{ $value | humanizeDuration }}",
    ),
    Alert(
        "LonglineLoopLate", f"longline_event_loop_lag_seconds > {LOOP}", "5m", "ticket",
        "the event loop of {{ $labels.instance }} comes round {{ $value | humanizeDuration }} late",
    ),
    Alert(
        "LonglineSweepLate", "max by (campaign) (longline_campaign_late_windows) > 0", "5m", "ticket",
        "a sweep of campaign {{ $labels.campaign }} is late by {{ $value | humanize }} whole windows",
    ),
    Alert(
        "LonglineControlsSilent", "min by (campaign) (longline_campaign_healthy) == 0", "0m", "page",
        "the controls of campaign {{ $labels.campaign }} did not answer: its last sweep does not tell who is gone",
    ),
    Alert(
        "LonglineSweepLoss", f"max by (campaign) (longline_campaign_loss_ratio) > {LOSS}", "0m", "ticket",
        "the last full sweep of campaign {{ $labels.campaign }} has missed {{ $value | humanizePercentage }}",
    ),
)  # fmt: skip


def groups() -> dict[str, Any]:
    """What stands in a rule file, or in the spec of a PrometheusRule."""
    return {
        "groups": [
            {"name": "longline.recordings", "rules": list(recordings())},
            {"name": "longline.alerts", "rules": [alert.rule() for alert in ALERTS]},
        ]
    }


def resource() -> dict[str, Any]:
    """The same for the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "longline", "namespace": "longline", "labels": {"app.kubernetes.io/name": "longline"}},
        "spec": groups(),
    }
