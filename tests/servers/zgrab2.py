"""zgrab2, the peer of the grabs' benchmarks: built once by Go from its published module, kept in `.cache`."""

from __future__ import annotations

from pathlib import Path

from tests.require import require
from tests.servers.gobuild import ROOT, built, imports

__all__ = ["ROOT", "VERSION", "zgrab2"]

VERSION = "v1.0.0"
_MODULE = "github.com/zmap/zgrab2"


def zgrab2() -> Path:
    """The program. Building it takes a minute, once."""
    needed = imports(f"{_MODULE}/bin", f"{_MODULE}/modules")
    program = built("zgrab2", _MODULE, VERSION, f"{_MODULE}/cmd/zgrab2", needed)
    require(program is not None, "zgrab2 is built by Go")
    assert program is not None
    return program
