"""Services and sweeps, for the tests of their states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stages.derive.availability import Swept
from stages.sink.documents import address_of, service_id

#: 2026-11-21T07:00:00Z
T0 = 1_795_244_400_000_000
MINUTE = 60_000_000


def at(minutes: float) -> int:
    return T0 + round(minutes * MINUTE)


def everything(address: bytes, port: int, transport: str) -> bool:
    return True


def swept(
    started: float,
    vantage: str = "v1",
    *,
    scan: str = "",
    healthy: bool = True,
    complete: bool = True,
    covers: Callable[[bytes, int, str], bool] = everything,
    names: tuple[str, ...] = (),
    lasted: float = 5,
) -> Swept:
    """A sweep that began so many minutes after T0."""
    name = scan or f"{vantage}-{started:g}"
    return Swept(name, vantage, at(started), at(started + lasted), healthy, complete, covers, names)


def service(
    first: float = 0, last: float = 0, ip: str = "10.0.0.1", port: int = 443, name: str = "", **latest: Any
) -> dict[str, Any]:
    """A service as it is stored, seen from the one minute to the other."""
    text, address = address_of(ip)
    document = {
        "_id": service_id(text, port, "tcp", name),
        "ip": text,
        "address": address,
        "port": port,
        "transport": "tcp",
        "first_seen": at(first),
        "last_seen": at(last),
        "hit": {"ts": at(last), "id": "h", "scan": "s"},
        **latest,
    }
    return document | ({"name": name} if name else {})


def said(data: bytes, minutes: float = 0, probe: str = "wait", **more: Any) -> dict[str, Any]:
    """A service's latest banner."""
    from hashlib import sha256

    document = {"ts": at(minutes), "id": "b", "probe": probe, "outcome": "ok", "size": len(data), "data": data[:256]}
    return {**document, "sha256": sha256(data).hexdigest(), **more}


def shook(leaf: str, minutes: float = 0, mode: str = "full", **more: Any) -> dict[str, Any]:
    """A service's latest handshake."""
    return {"ts": at(minutes), "id": "t", "mode": mode, "outcome": "ok", "leaf": leaf, **more}
