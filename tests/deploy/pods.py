"""What manifests and compose files start: containers, each with its arguments, settings and ports."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.cli.main import COMMANDS, parser_of
from stages.cli.sections import SECTIONS
from stages.core.settings import Loaded, MetricsSettings, load


@dataclass(frozen=True)
class Container:
    """`env`: of every name its value; of what is only known in the cluster, one that will do."""

    place: str
    image: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    ports: Mapping[str, int]
    mounts: tuple[str, ...]
    manifest: Mapping[str, Any]

    def settings(self) -> Loaded:
        """What the program would take of its environment. Raises SettingError: it knows no such name, or value."""
        ours = {name: value for name, value in self.env.items() if name.startswith("LONGLINE_")}
        for name, value in ours.items():
            if value.startswith("/run/secrets/"):
                assert any(value.startswith(mounted) for mounted in self.mounts), f"{self.place}: {name} is not mounted"
                ours[name] = str(SECRET)
        return load(SECTIONS, argv={}, environ=ours, file=None)

    def check_command(self) -> None:
        """The command line is one: argparse leaves by SystemExit otherwise."""
        name, *words = self.args
        assert name in COMMANDS, f"{self.place}: no command {name!r}"
        parser_of(name, importlib.import_module(f"stages.cli.{name}")).parse(words)

    def check_metrics_port(self) -> None:
        """Where it says it serves metrics, it does."""
        address = self.settings().get("metrics", MetricsSettings).address
        told = [port for name, port in self.ports.items() if name.startswith("metrics")]
        assert told == ([] if address is None else [address[1]]), self.place


#: What stands for the files of secrets.
SECRET = Path(__file__).with_name("store-url")

#: What stands for values that only a cluster knows.
IN_CLUSTER = {
    "metadata.name": "bannergrab-0",
    "spec.nodeName": "node-1",
    "metadata.annotations['batch.kubernetes.io/job-completion-index']": "0",
}


def pod_specs(documents: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for document in documents:
        template = document.get("spec", {}).get("template", {})
        if "spec" in template:
            yield f"{document['kind']} {document['metadata']['name']}", template["spec"]


def containers(documents: list[dict[str, Any]]) -> Iterator[Container]:
    maps = {d["metadata"]["name"]: d.get("data", {}) for d in documents if d["kind"] == "ConfigMap"}
    for place, spec in pod_specs(documents):
        for each in (*spec.get("initContainers", ()), *spec["containers"]):
            env: dict[str, str] = {}
            for source in each.get("envFrom", ()):
                env.update(maps[source["configMapRef"]["name"]])
            for variable in each.get("env", ()):
                there = variable.get("value")
                env[variable["name"]] = (
                    IN_CLUSTER[variable["valueFrom"]["fieldRef"]["fieldPath"]] if there is None else there
                )
            ports = {port["name"]: port["containerPort"] for port in each.get("ports", ())}
            mounts = tuple(mount["mountPath"] for mount in each.get("volumeMounts", ()))
            yield Container(f"{place}, {each['name']}", each["image"], tuple(each["args"]), env, ports, mounts, each)
