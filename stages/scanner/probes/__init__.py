"""The registry of probe modules: one line each. A module's file (and so numba) is imported when it is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Final

from stages.scanner.probes.base import ProbeModule


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a probe module without loading it."""

    file: str
    fields: str  #: its own group of output fields (`stages.scanner.fields.GROUPS`)
    ports: bool = True  #: False: `-p` is refused


REGISTRY: Final = {
    "tcp_synscan": Entry("stages.scanner.probes.tcp_synscan", fields="tcp"),
    "icmp_echoscan": Entry("stages.scanner.probes.icmp_echoscan", fields="echo", ports=False),
}

NAMES: Final = tuple(REGISTRY)
WITHOUT_PORTS: Final = tuple(name for name, entry in REGISTRY.items() if not entry.ports)


def get(name: str, args: str | None = None) -> ProbeModule:
    """The probe module `name` with `--probe-args` applied.

    Raises ValueError for an unknown name or bad arguments, OSError where the template cannot be built or a file of the
    arguments cannot be read.
    """
    if name not in REGISTRY:
        raise ValueError(f"unknown probe module {name!r}; there are {', '.join(NAMES)}")
    module: ProbeModule = importlib.import_module(REGISTRY[name].file).module(args or "")
    return module
