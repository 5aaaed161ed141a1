"""What the app knows of an engine, whichever it is."""

from __future__ import annotations

from typing import Protocol

from stages.core.errors import HostError
from stages.scanner.summary import EngineCounters


class NotByPackets(HostError):
    """These targets cannot be reached by frames from here: they are this host itself, on the link without a gateway,
    or behind an interface without Ethernet headers. Ordinary connections reach them."""


class Engine(Protocol):
    """What the app knows of an engine."""

    @property
    def name(self) -> str: ...
    @property
    def rate(self) -> float:
        """Probes per second at most; 0: unlimited."""

    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop_sending(self) -> None: ...
    def change_rate(self, factor: float) -> None:
        """Multiply the rate; without a limit nothing changes."""

    @property
    def sending(self) -> bool: ...
    @property
    def done(self) -> bool: ...
    @property
    def position(self) -> int: ...
    def settled(self, now: float, wait: float) -> int: ...
    @property
    def counters(self) -> EngineCounters: ...
    @property
    def failure(self) -> HostError | None: ...
    def describe(self) -> dict[str, object]: ...
    async def close(self) -> None: ...
