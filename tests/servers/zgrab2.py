"""zgrab2, the peer of the grabs' benchmarks: built once by Go from its published module, kept in `.cache`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.require import require

VERSION = "v1.0.0"
ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache" / "servers" / "zgrab2"

_MODULE = "module longline.test/zgrab2\n\ngo 1.21\n"
_IMPORTS = """//go:build tools

package tools

import (
\t_ "github.com/zmap/zgrab2/bin"
\t_ "github.com/zmap/zgrab2/modules"
)
"""


def zgrab2() -> Path:
    """The program. Building it takes a minute, once."""
    program = HOME / "zgrab2"
    if program.exists():
        return program
    require(shutil.which("go"), "zgrab2 is built by Go")
    source = HOME / "src"
    source.mkdir(parents=True, exist_ok=True)
    (source / "go.mod").write_text(_MODULE)
    (source / "tools.go").write_text(_IMPORTS)
    for argv in (
        ["go", "get", f"github.com/zmap/zgrab2@{VERSION}"],
        ["go", "mod", "tidy"],
        ["go", "build", "-o", str(program), "github.com/zmap/zgrab2/cmd/zgrab2"],
    ):
        subprocess.run(argv, cwd=source, check=True)
    return program
