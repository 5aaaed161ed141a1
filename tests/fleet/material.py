"""Works, agents and their words, for the tests."""

from __future__ import annotations

from typing import Any

from stages.core.records import Hit
from stages.fleet.messages import Capabilities, Slice
from stages.fleet.work import Work, proof

DIGEST = "0123456789abcdef" * 2
NOW = 1_800_000_000.0


def work(**more: Any) -> Work:
    body: dict[str, Any] = {
        "scan": "town", "ranges": ("10.0.0.0-10.0.3.255",), "ports": "80", "probe": "tcp_synscan", "seed": 1,
        "size": 1_024, "digest": DIGEST,
    }  # fmt: skip
    return Work.model_validate({**body, **more})


def can(**more: Any) -> Capabilities:
    body: dict[str, Any] = {
        "version": "0.1.0", "engine": "packet", "privileged": True, "probes": ("tcp_synscan",), "rate": 10.0
    }  # fmt: skip
    return Capabilities.model_validate({**body, **more})


def shown(slice: Slice, position: int) -> str:
    return proof(slice.work.digest, slice.first, position, slice.only)


def hit(position: int, *, scan: str = "town", vantage: str = "alice", port: int = 80, **more: Any) -> Hit:
    """The hit of a target whose position is its number (`Straight`)."""
    ip = f"10.0.{position >> 8}.{position & 255}"
    return Hit(scan=scan, ts=int(NOW * 1e6), ip=ip, port=port, vantage=vantage, **more)


class Straight:
    """A layout in which target n stands at position n."""

    def position(self, ip: str, port: int) -> int | None:
        a, b, c, d = map(int, ip.split("."))
        return (c << 8) + d if (a, b) == (10, 0) and c < 4 and port == 80 else None
