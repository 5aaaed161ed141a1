"""The compose file: what Docker's reader takes, and what the program understands of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.monitoring.__main__ import DEPLOY
from stages.core.settings import BusSettings, MetricsSettings, RunnerSettings
from tests.deploy.pods import Container
from tests.servers.compose import project


def test_a_word_that_is_wrong_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text((DEPLOY / "compose.yaml").read_text().replace("read_only: true", "readonly: true", 1))
    with pytest.raises(ValueError, match="readonly"):
        project(file)


OURS = ("topics", "store", "bannergrab", "tlsgrab", "sink", "scanner", "demo")
STAGES = ("bannergrab", "tlsgrab", "sink", "scanner")
ONCE = ("topics", "store", "replica-set")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return dict(project(DEPLOY / "compose.yaml")["services"])


def ports_of(service: dict[str, Any]) -> dict[str, int]:
    return {f"metrics {port['published']}": port["target"] for port in service.get("ports", ())}


def container(name: str, service: dict[str, Any]) -> Container:
    mounts = tuple(secret["target"] for secret in service.get("secrets", ()))
    env = dict(service.get("environment", {}))
    return Container(name, service["image"], tuple(service["command"]), env, ports_of(service), mounts, service)


@pytest.mark.parametrize("name", OURS)
def test_the_program_understands_every_name_and_word(services: dict[str, dict[str, Any]], name: str) -> None:
    ours = container(name, services[name])
    ours.settings()
    ours.check_command()
    if name != "scanner":  # in the host's network nothing is published
        ours.check_metrics_port()


def test_what_is_published_is_on_loopback(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    for name, service in services.items():
        if service.get("network_mode") == "host":
            words = " ".join((*(service.get("command") or ()), *service.get("environment", {}).values()))
            assert "127.0.0.1" in words, name


def test_workers_have_no_capability_and_nothing_to_write_on(services: dict[str, dict[str, Any]]) -> None:
    for name in OURS:
        service = services[name]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        added = {"scanner": ["NET_RAW"]}.get(name)
        assert service.get("cap_add") == added, name


def test_the_demo_has_no_network(services: dict[str, dict[str, Any]]) -> None:
    assert services["demo"]["network_mode"] == "none"


def test_stages_wait_for_topics_and_store(services: dict[str, dict[str, Any]]) -> None:
    for name in STAGES:
        waits = {on: how["condition"] for on, how in services[name]["depends_on"].items()}
        done = "service_completed_successfully"
        assert waits == {"topics": done, "store": done}, name
    assert services["topics"]["depends_on"]["kafka"]["condition"] == "service_healthy"
    for name in ONCE:
        assert services[name]["restart"] == "no"


def test_everything_that_stays_has_a_healthcheck_and_a_limit(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if service.get("restart") == "unless-stopped":
            assert service["healthcheck"]["test"], name
            assert int(service["deploy"]["resources"]["limits"]["memory"]) > 0, name


def test_a_stage_has_longer_to_end_than_it_takes_to_drain(services: dict[str, dict[str, Any]]) -> None:
    for name in STAGES:
        drain = container(name, services[name]).settings().get("runner", RunnerSettings).drain_deadline
        assert services[name]["stop_grace_period"] == "1m0s"
        assert drain < 60


def test_prometheus_asks_where_the_stages_answer(services: dict[str, dict[str, Any]]) -> None:
    text = (DEPLOY / "prometheus" / "prometheus.yaml").read_text()
    for name in STAGES:
        address = container(name, services[name]).settings().get("metrics", MetricsSettings).address
        assert address is not None
        assert f"127.0.0.1:{address[1]} # {name}\n" in text


def test_the_broker_is_where_the_stages_look_for_it(services: dict[str, dict[str, Any]]) -> None:
    told = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    listeners = {listener.partition("://")[2] for listener in told}
    for name in STAGES:
        bus = container(name, services[name]).settings().get("bus", BusSettings)
        assert bus.url.removeprefix("kafka://") in listeners, name
