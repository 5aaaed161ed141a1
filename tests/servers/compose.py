"""A compose file as Docker's command would read it: `project(file)`, by the library that its command stands on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.require import require

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = Path(__file__).with_name("gocompose")
VERSION: Final = "v2.4.9"
PROGRAM: Final = ROOT / ".cache" / "servers" / "compose" / VERSION / "compose"


def reader() -> Path | None:
    """The program, built where it is not there; None without Go."""
    if PROGRAM.exists():
        return PROGRAM
    if shutil.which("go") is None:
        return None
    folder = PROGRAM.parent / "source"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCE / "main.go", folder)
    (folder / "go.mod").write_text("module longline.test/compose\n\ngo 1.21\n")
    for words in (
        ["get", f"github.com/compose-spec/compose-go/v2@{VERSION}"],
        ["mod", "tidy"],
        ["build", "-o", str(PROGRAM), "."],
    ):
        subprocess.run(["go", *words], cwd=folder, env={**os.environ, "GOFLAGS": "-mod=mod"}, check=True)
    return PROGRAM


def project(file: Path) -> dict[str, Any]:
    """Services, networks, volumes and secrets. Raises ValueError with what the reader says of a bad file."""
    program = reader()
    require(program is not None, "the reader of compose files is built by Go")
    read = subprocess.run([str(program), str(file)], capture_output=True, text=True, check=False)
    if read.returncode:
        raise ValueError(read.stderr)
    return dict(json.loads(read.stdout))
