"""kustomize, built by Go: `manifests(overlay)` are the documents that `kubectl apply -k` would send."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.require import require

ROOT: Final = Path(__file__).resolve().parents[2]
VERSION: Final = "v5.4.3"
PROGRAM: Final = ROOT / ".cache" / "servers" / "kustomize" / VERSION / "kustomize"


def kustomize() -> Path | None:
    """The program, built where it is not there; None without Go."""
    if PROGRAM.exists():
        return PROGRAM
    if shutil.which("go") is None:
        return None
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["go", "install", f"sigs.k8s.io/kustomize/kustomize/v5@{VERSION}"],
        env={**os.environ, "GOBIN": str(PROGRAM.parent), "GOFLAGS": ""},
        cwd=PROGRAM.parent,
        check=True,
    )
    return PROGRAM


def manifests(overlay: Path) -> list[dict[str, Any]]:
    """Raises CalledProcessError where kustomize refuses it."""
    program = kustomize()
    require(program is not None, "kustomize is built by Go")
    built = subprocess.run([str(program), "build", str(overlay)], capture_output=True, text=True, check=True)
    return [document for document in yaml.safe_load_all(built.stdout) if document]
