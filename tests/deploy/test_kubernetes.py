"""The manifests: what two versions of Kubernetes take, what the program understands, and pods that really start."""

from __future__ import annotations

import re
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.monitoring.__main__ import DEPLOY
from stages.cli.assembly import group_of
from stages.core.bus.base import Topics
from stages.core.settings import BusSettings, RunnerSettings
from stages.simnet.network import Simnet
from tests.deploy.pods import Container, containers, pod_specs
from tests.integration.topics import Log
from tests.integration.workers import Crew, get, says_yes, until
from tests.servers import images
from tests.servers.kustomize import manifests

K8S = DEPLOY.parent / "k8s"
OVERLAYS = ("dev", "production")
#: An old one that is still about, and a new one.
VERSIONS = ("1.30", "1.37")
#: Of operators: their schemas are not Kubernetes' own.
CUSTOM = {"ScaledObject", "PodMonitor", "PrometheusRule"}


@pytest.fixture(scope="module", params=OVERLAYS)
def documents(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return manifests(K8S / "overlays" / request.param)


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The base with the component that no overlay has."""
    folder = K8S / "overlays" / "continuation-of-test"
    folder.mkdir()
    try:
        (folder / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            "resources: [../../base]\ncomponents: [../../components/continuation]\n"
        )
        return manifests(folder)
    finally:
        (folder / "kustomization.yaml").unlink()
        folder.rmdir()


def test_kubernetes_takes_them(documents: list[dict[str, Any]]) -> None:
    for document in documents:
        if document["kind"] not in CUSTOM:
            for version in VERSIONS:
                kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_would_not_take_a_word_that_is_wrong(documents: list[dict[str, Any]], version: str) -> None:
    wrong = next(deepcopy(document) for document in documents if document["kind"] == "StatefulSet")
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnlyRoot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_kubernetes_takes_the_sidecar(sidecar: list[dict[str, Any]]) -> None:
    for document in sidecar:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
    names = [each.place for each in containers(sidecar)]
    assert "Job scan, continuation" in names


def _check(container: Container) -> None:
    container.check_command()
    container.settings()
    container.check_metrics_port()


def test_the_program_understands_every_name_and_word(
    documents: list[dict[str, Any]], sidecar: list[dict[str, Any]]
) -> None:
    for container in (*containers(documents), *containers(sidecar)):
        _check(container)


def test_workers_are_at_the_restricted_level(documents: list[dict[str, Any]]) -> None:
    """Pod Security Standards, restricted: each of its fields, in each container outside the scanner's namespace."""
    for document in documents:
        if document["metadata"].get("namespace") != "longline":
            continue
        for place, spec in pod_specs([document]):
            assert not spec.get("hostNetwork"), place
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["runAsUser"] == 65532
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert spec["automountServiceAccountToken"] is False
            for each in spec["containers"]:
                context = each["securityContext"]
                assert context["capabilities"] == {"drop": ["ALL"]}
                assert context["allowPrivilegeEscalation"] is False
                assert context["readOnlyRootFilesystem"] is True
                assert "cpu" not in each["resources"].get("limits", {})
                assert each["resources"]["limits"]["memory"] == each["resources"]["requests"]["memory"] or (
                    place.startswith("Job")
                )


def test_the_scanner_has_net_raw_and_nothing_else(documents: list[dict[str, Any]]) -> None:
    (scanner,) = (each for each in containers(documents) if "scan," in each.place)
    assert scanner.manifest["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}
    assert "longline/scanner" in scanner.image
    (spec,) = (spec for place, spec in pod_specs(documents) if place == "Job scan")
    assert spec["hostNetwork"] is True
    assert spec["dnsPolicy"] == "ClusterFirstWithHostNet"


def test_a_pod_has_longer_to_end_than_the_program_takes_to_drain(documents: list[dict[str, Any]]) -> None:
    for place, spec in pod_specs(documents):
        if place.startswith("StatefulSet"):
            (container,) = (each for each in containers(documents) if each.place.startswith(f"{place},"))
            drain = container.settings().get("runner", RunnerSettings).drain_deadline
            assert spec["terminationGracePeriodSeconds"] > drain


def test_every_selector_selects(documents: list[dict[str, Any]]) -> None:
    labels = [
        (document["metadata"].get("namespace"), document["spec"]["template"]["metadata"]["labels"])
        for document in documents
        if "template" in document.get("spec", {})
    ]
    for document in documents:
        if document["kind"] in ("PodDisruptionBudget", "StatefulSet"):
            wanted = document["spec"]["selector"]["matchLabels"].items()
            home = document["metadata"]["namespace"]
            assert any(wanted <= has.items() for where, has in labels if where == home), document["metadata"]["name"]
    scaled = {d["spec"]["scaleTargetRef"]["name"] for d in documents if d["kind"] == "ScaledObject"}
    assert scaled <= {d["metadata"]["name"] for d in documents if d["kind"] == "StatefulSet"}


def test_keda_asks_for_groups_and_topics_that_there_are() -> None:
    topics = Topics()
    known = {topics.hits, topics.banners, topics.tls, topics.scans}
    for document in manifests(K8S / "overlays" / "production"):
        if document["kind"] == "ScaledObject":
            stage = document["spec"]["scaleTargetRef"]["name"]
            (trigger,) = document["spec"]["triggers"]
            assert trigger["metadata"]["consumerGroup"] == group_of(BusSettings(), stage)
            assert trigger["metadata"]["topic"] in known
            assert document["spec"]["maxReplicaCount"] <= 64, "no more than partitions"


@pytest.mark.slow
def test_worker_pods_really_start(town: Simnet, log: Log, crew: Crew, tmp_path: Path) -> None:
    """The pods of the dev overlay as podman plays them, in the town's network: ready, and ended by their signal."""
    images.require_images()
    documents = manifests(K8S / "overlays" / "dev")
    config = next(d for d in documents if d["kind"] == "ConfigMap" and d["metadata"].get("namespace") == "longline")
    config["data"].update(
        LONGLINE_BUS_URL=log.url, LONGLINE_BUS_PREFIX=log.prefix, LONGLINE_BUS_PARTITIONS="4", LONGLINE_CONFINE="1"
    )
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    env = images.environment()
    for stage in ("bannergrab", "tlsgrab"):
        stateful = next(d for d in documents if d["kind"] == "StatefulSet" and d["metadata"]["name"] == stage)
        spec = {**stateful["spec"]["template"]["spec"], "hostNetwork": True}
        (told,) = spec["containers"]
        told["image"] = images.name("worker")
        (port,) = (each["containerPort"] for each in told.pop("ports"))  # in the caller's network it is where it is
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            told[probe]["httpGet"]["port"] = port
        spec.pop("topologySpreadConstraints")
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{log.prefix}-{stage}", "labels": stateful["spec"]["template"]["metadata"]["labels"]},
            "spec": spec,
        }
        file = tmp_path / f"{stage}.yaml"
        file.write_text(yaml.safe_dump(pod))
        played = town.run(
            ["podman", "kube", "play", "--network", "host", "--configmap", str(tmp_path / "config.yaml"), str(file)],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        crew.callback(subprocess.run, ["podman", "pod", "rm", "-f", "-t", "0", pod["metadata"]["name"]], env=env)
        out = played.communicate(timeout=90)[0].decode()
        assert played.returncode == 0, out
        container = re.findall(r"^([0-9a-f]{64})$", out, re.MULTILINE)[-1]
        until(lambda port=port: says_yes(lambda: get(town, port, "/readyz")), f"{stage} is ready")
        (told,) = yaml.safe_load(
            subprocess.run(["podman", "inspect", container], env=env, capture_output=True, text=True, check=True).stdout
        )
        assert told["HostConfig"]["ReadonlyRootfs"] is True
        assert told["EffectiveCaps"] in ([], None)
        subprocess.run(["podman", "stop", "-t", "60", container], env=env, check=True, capture_output=True)
        (told,) = yaml.safe_load(
            subprocess.run(["podman", "inspect", container], env=env, capture_output=True, text=True, check=True).stdout
        )
        assert told["State"]["ExitCode"] == 143
