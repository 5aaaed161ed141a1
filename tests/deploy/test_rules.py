"""Each alert fires when it should and not otherwise: promtool evaluates the rules over invented series."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.__main__ import DEPLOY, files
from deploy.monitoring.rules import ALERTS, groups
from tests.deploy.metrics import names, used
from tests.require import require

ROOT = DEPLOY.parent

AT = 'instance="a"'
OF = 'job="longline", instance="a"'


@dataclass(frozen=True)
class Case:
    """Series in promtool's notation, one value a minute, judged after `minutes`."""

    alert: str
    fires: dict[str, str]
    quiet: dict[str, str]
    minutes: int = 60
    more: dict[str, str] = field(default_factory=dict)  #: series that are the same in both


def scanner(name: str) -> str:
    return f"longline_scanner_{name}{{{AT}}}"


def campaign(name: str, of: str = "watch") -> str:
    return f'longline_campaign_{name}{{{AT}, campaign="{of}"}}'


SYNACK = f'longline_scanner_answers_total{{{AT}, classification="synack"}}'
SENT = scanner("probes_sent_total")

CASES = (
    Case("LonglineDown", {f"up{{{OF}}}": "1x10 0x50"}, {f"up{{{OF}}}": "1x10 0 1x49", 'up{job="node"}': "0x60"}),
    Case(
        "LonglineNotReady",
        {f"longline_sink_ready{{{AT}}}": "0x60"},
        {f"longline_sink_ready{{{AT}}}": "1x60", f"longline_tlsgrab_ready{{{AT}}}": "0x2 1x58"},
    ),
    Case(
        "LonglineRestarting",
        {f"process_start_time_seconds{{{OF}}}": "1x40 2 3 4x18"},
        {f"process_start_time_seconds{{{OF}}}": "1x40 2x20"},
    ),
    Case(
        "LonglineScannerStalled",
        {SENT: "0+600x20 12000x40", scanner("position"): "0+600x20 12000x40"},
        {SENT: "0+600x60", scanner("position"): "0+600x60"},
        more={scanner("running"): "1x60", scanner("paused"): "0x60", scanner("targets"): "100000x60"},
    ),
    Case(
        "LonglineScannerStalled",
        {SENT: "12000x60", scanner("position"): "12000x60", scanner("targets"): "100000x60"},
        {SENT: "12000x60", scanner("position"): "12000x60", scanner("targets"): "12000x60"},  # it is cooling down
        more={scanner("running"): "1x60", scanner("paused"): "0x60"},
    ),
    Case("LonglineScannerHeldBack", {scanner("paused"): "1x60"}, {scanner("paused"): "1x50 0x10"}),
    Case(
        "LonglineHitRateCollapsed",
        {SYNACK: "0+100x300 30000+5x60"},
        {SYNACK: "0+100x300 30000+60x60"},
        minutes=340,
        more={SENT: "0+1000x360"},
    ),
    Case(
        "LonglineReceiveDrops",
        {scanner("ring_drops_total"): "0+10x60"},
        {scanner("ring_drops_total"): "7x60"},
        more={scanner("packets_received_total"): "0+1000x60"},
    ),
    Case(
        "LonglineLagGrowing",
        {f"longline_bannergrab_records_behind{{{AT}}}": "0+2000x60"},
        {
            f"longline_bannergrab_records_behind{{{AT}}}": "200000-2000x60",  # it catches up
            f"longline_tlsgrab_records_behind{{{AT}}}": "0+100x60",  # it has not much
        },
    ),
    Case(
        "LonglineRecordsAgeing",
        {f'longline_sink_record_age_seconds_bucket{{{AT}, le="{le}"}}': v for le, v in
         (("300.0", "0x60"), ("900.0", "0x60"), ("3600.0", "0+10x60"), ("+Inf", "0+10x60"))},
        {f'longline_sink_record_age_seconds_bucket{{{AT}, le="{le}"}}': v for le, v in
         (("300.0", "0+10x60"), ("900.0", "0+10x60"), ("3600.0", "0+10x60"), ("+Inf", "0+10x60"))},
    ),
    Case(
        "LonglineHeartbeatLate",
        {f"longline_sink_heartbeat_age_seconds{{{AT}}}": "300x60", scanner("running"): "1x60"},
        {f"longline_sink_heartbeat_age_seconds{{{AT}}}": "300x60", scanner("running"): "0x60"},  # an old one
    ),
    Case(
        "LonglineDeadLetters",
        {f'longline_sink_dead_letters_total{{{AT}, reason="schema"}}': "0x30 0+20x30"},
        {f'longline_sink_dead_letters_total{{{AT}, reason="schema"}}': "0+1x60"},
    ),
    Case(
        "LonglineFuse",
        {f"longline_tlsgrab_dead_share{{{AT}}}": "0x58 0.3x2"},
        {f"longline_tlsgrab_dead_share{{{AT}}}": "0.2x60"},
    ),
    Case(
        "LonglineSinkErrors",
        {f"longline_sink_store_reachable{{{AT}}}": "0x60"},
        {f"longline_sink_store_reachable{{{AT}}}": "1x60"},
    ),
    Case(
        "LonglineSinkErrors",
        {f'longline_sink_write_failures_total{{{AT}, failure="unavailable"}}': "0+1x60"},
        {f'longline_sink_write_failures_total{{{AT}, failure="unavailable"}}': "9x60"},
        more={f"longline_sink_store_reachable{{{AT}}}": "1x60"},
    ),
    Case(
        "LonglineCertificateExpires",
        {f"longline_kafka_client_certificate_expiry_timestamp_seconds{{{AT}}}": f"{10 * 86400}x90"},
        {f"longline_mongodb_client_certificate_expiry_timestamp_seconds{{{AT}}}": f"{30 * 86400}x90"},
        minutes=90,
    ),
    Case(
        "LonglineLoopLate",
        {f"longline_event_loop_lag_seconds{{{AT}}}": "3x60"},
        {f"longline_event_loop_lag_seconds{{{AT}}}": "3x2 0.01x58"},
    ),
    Case(
        "LonglineSweepLate",
        {campaign("late_windows"): "0x50 1x10", campaign("late_windows", "other"): "0x60"},
        {campaign("late_windows"): "0x50 3 0x9"},  # the machine was off, and the sweep begins
    ),
    Case(
        "LonglineControlsSilent",
        {campaign("healthy"): "1x59 0x1"},
        {campaign("healthy"): "0x59 1x1"},  # of a campaign without controls there is no series
    ),
    Case(
        "LonglineSweepLoss",
        {campaign("loss_ratio"): "0.02x59 0.051x1"},
        {campaign("loss_ratio"): "0.051x59 0.049x1"},
    ),
)  # fmt: skip


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    require(shutil.which("promtool"), "promtool (Debian: prometheus)")
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)


def judged(case: Case, series: dict[str, str], expected: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {
        "interval": "1m",
        "name": case.alert,
        "input_series": [{"series": name, "values": values} for name, values in {**series, **case.more}.items()],
        "alert_rule_test": [
            {"eval_time": f"{case.minutes}m", "alertname": case.alert, "exp_alerts": expected or []},
        ],
    }


def said(case: Case, series: dict[str, str], folder: Path) -> str:
    """What promtool says where no alert is expected: empty, or what came instead."""
    file = folder / "case.yaml"
    rules = str(DEPLOY / "prometheus" / "rules.yaml")
    text = {"rule_files": [rules], "evaluation_interval": "1m", "tests": [judged(case, series, None)]}
    file.write_text(yaml.safe_dump(text))
    done = promtool("test", "rules", file)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=[f"{case.alert}-{n}" for n, case in enumerate(CASES)])
def test_an_alert_fires_when_it_should(case: Case, tmp_path: Path) -> None:
    found = said(case, case.fires, tmp_path)
    assert f'alertname="{case.alert}"' in found, found
    # Its texts have been filled in.
    assert "error executing template" not in found
    assert not re.search(r"\{\{", found), found


@pytest.mark.parametrize("case", CASES, ids=[f"{case.alert}-{n}" for n, case in enumerate(CASES)])
def test_and_not_otherwise(case: Case, tmp_path: Path) -> None:
    assert said(case, case.quiet, tmp_path) == ""


def test_every_alert_has_a_case_and_a_place_in_the_operations_guide() -> None:
    assert {case.alert for case in CASES} == {alert.name for alert in ALERTS}
    guide = (ROOT / "docs" / "operations.md").read_text()
    for alert in ALERTS:
        assert f"### {alert.name}\n" in guide


def test_what_is_written_is_what_the_code_says() -> None:
    for path, text in files():
        assert path.read_text() == text, f"{path.relative_to(ROOT)}: `python -m deploy.monitoring` writes it"


def test_promtool_finds_nothing_to_say() -> None:
    for words in (("check", "rules", DEPLOY / "prometheus" / "rules.yaml"),
                  ("check", "config", DEPLOY / "prometheus" / "prometheus.yaml")):  # fmt: skip
        done = promtool(*words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_use_metrics_that_there_are() -> None:
    known = names()
    recorded = {rule["record"] for group in groups()["groups"] for rule in group["rules"] if "record" in rule}
    for group in groups()["groups"]:
        for rule in group["rules"]:
            unknown = used(rule["expr"]) - known - recorded
            assert not unknown, (rule, unknown)
