"""Every query of the dashboards, asked of a real Prometheus that scrapes a live pipeline."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from deploy.monitoring.__main__ import DEPLOY
from deploy.monitoring.panels import ANNOTATIONS, BOARDS, Board
from deploy.monitoring.rules import groups
from stages.simnet.network import Simnet
from tests.deploy.metrics import names, used
from tests.integration import plans
from tests.integration.campaigns import Field, controls
from tests.integration.fleet import Ground
from tests.integration.topics import Log
from tests.integration.workers import SERVES, Crew, Worker, until
from tests.servers.prometheus import PrometheusServer

#: Grafana's variable, as it comes out of a scrape each second.
INTERVAL = "5s"


@pytest.mark.parametrize("board", BOARDS, ids=[board.uid for board in BOARDS])
def test_a_dashboard_is_fit_to_be_provisioned(board: Board) -> None:
    name = board.uid.removeprefix("longline-")
    made = json.loads((DEPLOY / "grafana" / "dashboards" / f"{name}.json").read_text())
    assert made["uid"] == board.uid
    assert "id" not in made or made["id"] is None
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    (source,) = made["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "$source"
            assert panel["description"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_no_two_dashboards_have_one_uid() -> None:
    assert len({board.uid for board in BOARDS}) == len(BOARDS)


def test_dashboards_use_metrics_that_there_are() -> None:
    recorded = {rule["record"] for group in groups()["groups"] for rule in group["rules"] if "record" in rule}
    known = names() | recorded
    for board in BOARDS:
        for panel in board.panels():
            for query in panel.queries:
                assert used(query.expr), query
                assert used(query.expr) <= known, (panel.title, used(query.expr) - known)
    for expr in ANNOTATIONS.values():
        assert used(expr) <= known


@pytest.mark.slow
def test_every_panel_shows_something_of_a_live_pipeline(
    town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path
) -> None:
    plans.prepare(town, tmp_path, store)
    workers = plans.stages(crew, town, tmp_path, log.words, store)
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    # A rate at which the scan lasts as long as the questions do; it is stopped when they are answered.
    scan = crew.hire(Worker(town, tmp_path, *plans.scan(town, rate=100), *log.words, name="scan"))
    scan.start()
    until(lambda: SERVES.search(scan.text), "the scanner serves its metrics")
    fleet = Ground(town, crew, tmp_path / "fleet")
    agent = fleet.agent("alice", rate=20)
    fleet.submit()
    (tmp_path / "watch").mkdir()
    field = Field(town, crew, tmp_path / "watch", full_every="3s", controls=controls(town))
    field.conductor.start()
    until(lambda: SERVES.search(field.conductor.text), "the conductor serves its metrics")
    ports = {
        worker.name: SERVES.findall(worker.text)[-1] for worker in (*workers, scan, fleet.coordinator, field.conductor)
    }
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus" / "rules.yaml")],
        "scrape_configs": [
            {"job_name": f"longline-{name}", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            for name, port in ports.items()
        ],
    }
    missing: dict[str, str] = {}

    def all_answered(server: PrometheusServer) -> bool:
        missing.clear()
        for board in BOARDS:
            for panel in board.panels():
                for query in panel.queries:
                    found = server.query(query.expr.replace("$__rate_interval", INTERVAL))
                    if not any(series["value"][1] != "NaN" for series in found):
                        missing[f"{board.title}: {panel.title}: {query.legend}"] = query.expr
        return not missing

    prometheus = tmp_path / "prometheus"
    with PrometheusServer(prometheus, yaml.safe_dump(config), join=town.joiner(), inside=town.inside) as server:
        end = time.monotonic() + 75
        while not all_answered(server) and time.monotonic() < end:
            time.sleep(1)
        assert not missing
        for expr in ANNOTATIONS.values():
            server.query(expr)
        firing = {alert["labels"]["alertname"] for alert in server.alerts() if alert["state"] == "firing"}
        assert firing == set(), "nothing is wrong with this pipeline"
    assert scan.stop() in (0, 143), scan.tail()
    assert field.conductor.stop() == 143, field.conductor.tail()
    fleet.end([agent])
