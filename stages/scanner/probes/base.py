"""What a probe module is: a name, a frame template, a kernel that fills frames, a kernel filter, a kernel that reads
answers, and the fields it yields. One file each in this folder, one line each in `probes/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

#: A numba kernel; its contract is in `stages.scanner.frames` (fill) and `stages.scanner.receiver` (classify).
Kernel: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class ProbeModule:
    """One kind of probe, with its arguments applied."""

    name: str
    args: str  #: as given by --probe-args, "" for the default
    uses_ports: bool  #: False: `-p` is refused, the space has the single port 0
    fields: tuple[str, ...]  #: output fields of its own (ZMap's names)
