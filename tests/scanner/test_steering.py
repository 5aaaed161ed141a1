from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from typing import Any, cast

import pytest

from stages.scanner.engines import Engine
from stages.scanner.steering import rate_signals


class Rated:
    """What is steered of an engine."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.changed = asyncio.Event()

    def change_rate(self, factor: float) -> None:
        self.rate *= factor
        self.changed.set()


async def send(engine: Rated, number: int) -> None:
    engine.changed.clear()
    os.kill(os.getpid(), number)
    await asyncio.wait_for(engine.changed.wait(), 10)


@pytest.mark.parametrize(("rate", "says"), [(1000.0, "1050 probes/s, before 1000"), (0.0, "there is no limit")])
async def test_five_per_cent_up_and_down(rate: float, says: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = Rated(rate)
    before = signal.getsignal(signal.SIGUSR1)
    with caplog.at_level(logging.INFO), rate_signals(cast("Engine", engine)):
        await send(engine, signal.SIGUSR1)
        assert engine.rate == pytest.approx(rate * 1.05)
        await send(engine, signal.SIGUSR2)
        assert engine.rate == pytest.approx(rate * 1.05 * 0.95)
    assert says in caplog.messages[0]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_outside_the_main_thread_nothing_happens() -> None:
    seen: list[Any] = []

    async def work() -> None:
        with rate_signals(cast("Engine", Rated(1.0))):
            seen.append(signal.getsignal(signal.SIGUSR1))

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
