"""Signals that steer a running scan: SIGUSR1 makes it 5 % faster, SIGUSR2 5 % slower, as in ZMap."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from stages.scanner.engines import Engine
from stages.scanner.rate import STEP

log = logging.getLogger("longline.scanner.rate")

_SIGNALS: Final = {"SIGUSR1": 1 + STEP, "SIGUSR2": 1 - STEP}


@contextmanager
def rate_signals(engine: Engine) -> Iterator[None]:
    """While it lasts the signals change the engine's rate. Only a loop in the main thread gets signals: elsewhere, and
    where the system has no such signals, nothing happens."""
    loop = asyncio.get_running_loop()

    def change(name: str, factor: float) -> None:
        before = engine.rate
        engine.change_rate(factor)
        if engine.rate > 0:
            log.info("%s: %.6g probes/s, before %.6g", name, engine.rate, before)
        else:
            log.info("%s: there is no limit to the rate", name)

    added: list[signal.Signals] = []
    try:
        for name, factor in _SIGNALS.items():
            number = getattr(signal, name, None)
            if number is None:
                continue
            try:
                loop.add_signal_handler(number, change, name, factor)
            except (RuntimeError, ValueError, NotImplementedError):
                break
            added.append(number)
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)
