"""What the app knows of an engine, whichever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from stages.core.errors import HostError
from stages.scanner.summary import EngineCounters

if TYPE_CHECKING:
    from stages.scanner.continuing import Continuing


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
    def cut_short(self) -> None:
        """Enough is known: stop sending, and wait for nothing but conversations under way."""

    def halt(self) -> None:
        """Send nothing more at all: conversations under way are reset, too. What was under way has to come again."""

    def renew(self) -> None:
        """Called often; keeps up what has to be kept up. Raises HostError."""

    @property
    def continuing(self) -> Continuing | None:
        """Who goes on with the connections that the scan opens; None: nobody."""

    @property
    def not_quiet(self) -> str | None:
        """Why nobody does although it was asked for."""

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
