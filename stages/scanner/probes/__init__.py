"""The registry of probe modules: one line each."""

from __future__ import annotations

from stages.scanner.probes.base import ProbeModule

NAMES: tuple[str, ...] = ("tcp_synscan", "icmp_echoscan")


def get(name: str, args: str | None = None) -> ProbeModule:
    """The probe module `name` with `--probe-args` applied. Raises ValueError for an unknown name or bad arguments."""
    raise ValueError(f"unknown probe module {name!r}")
