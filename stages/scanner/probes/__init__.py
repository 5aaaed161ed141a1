"""The registry of probe modules: one line each. A module's file (and so numba) is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Final

from stages.scanner.probes.base import ProbeModule

_FILES: Final = {
    "tcp_synscan": "stages.scanner.probes.tcp_synscan",
    "icmp_echoscan": "stages.scanner.probes.icmp_echoscan",
}

NAMES: Final = tuple(_FILES)


def get(name: str, args: str | None = None) -> ProbeModule:
    """The probe module `name` with `--probe-args` applied.

    Raises ValueError for an unknown name or bad arguments, OSError where the template cannot be built or a file of the
    arguments cannot be read.
    """
    if name not in _FILES:
        raise ValueError(f"unknown probe module {name!r}; there are {', '.join(NAMES)}")
    module: ProbeModule = importlib.import_module(_FILES[name]).module(args or "")
    return module
