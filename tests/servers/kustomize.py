"""kustomize, built by Go: `manifests(overlay)` are the documents that `kubectl apply -k` would send."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.require import require
from tests.servers.gobuild import built, imports

VERSION: Final = "v5.4.3"
_MODULE: Final = "sigs.k8s.io/kustomize/kustomize/v5"


def kustomize() -> Path | None:
    """The program; None without Go."""
    return built("kustomize", _MODULE, VERSION, _MODULE, imports(_MODULE))


def manifests(overlay: Path) -> list[dict[str, Any]]:
    """Raises CalledProcessError where kustomize refuses it."""
    program = kustomize()
    require(program is not None, "kustomize is built by Go")
    told = subprocess.run([str(program), "build", str(overlay)], capture_output=True, text=True, check=True)
    return [document for document in yaml.safe_load_all(told.stdout) if document]
