"""A compose file as Docker's command would read it: `project(file)`, by the library that its command stands on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.require import require
from tests.servers.gobuild import built

SOURCE: Final = Path(__file__).with_name("gocompose") / "main.go"
VERSION: Final = "v2.4.9"


def reader() -> Path | None:
    """The program; None without Go."""
    return built("compose", "github.com/compose-spec/compose-go/v2", VERSION, ".", SOURCE.read_text())


def project(file: Path) -> dict[str, Any]:
    """Services, networks, volumes and secrets. Raises ValueError with what the reader says of a bad file."""
    program = reader()
    require(program is not None, "the reader of compose files is built by Go")
    read = subprocess.run([str(program), str(file)], capture_output=True, text=True, check=False)
    if read.returncode:
        raise ValueError(read.stderr)
    return dict(json.loads(read.stdout))
