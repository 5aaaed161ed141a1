"""Programs in Go, built once from published modules and kept in `.cache`: peers, and readers of formats."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / ".cache" / "servers"


def built(name: str, module: str, version: str, package: str, main: str) -> Path | None:
    """The program `name`, from `package` (of `module`, or `.`) in a module of its own that has the file `main.go`.

    None without Go. Raises CalledProcessError.
    """
    home = HOME / name / version
    program = home / name
    if program.exists():
        return program
    if shutil.which("go") is None:
        return None
    source = home / "source"
    source.mkdir(parents=True, exist_ok=True)
    (source / "go.mod").write_text(f"module longline.test/{name}\n\ngo 1.21\n")
    (source / "main.go").write_text(main)
    for words in (["get", f"{module}@{version}"], ["mod", "tidy"], ["build", "-o", str(program), package]):
        subprocess.run(["go", *words], cwd=source, env={**os.environ, "GOFLAGS": "-mod=mod"}, check=True)
    return program


def imports(*packages: str) -> str:
    """A file that only has a module need packages."""
    lines = "\n".join(f'\t_ "{package}"' for package in packages)
    return f"//go:build tools\n\npackage tools\n\nimport (\n{lines}\n)\n"
