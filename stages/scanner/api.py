"""A scan from Python: `async for hit in scan(settings)`. The same engines, the same checks, no process between.

    async for hit in scan(ScannerSettings(targets=("10.0.0.0/24",), target_ports="443", rate="1K")):
        print(hit.ip, hit.port)

Hits come as they are written, in batches behind the scenes. Who is slow to take them makes the scan wait: above a bound
sending pauses. Leaving the loop stops the scan at once; `Scan.stop` ends the sending and keeps the cooldown. An order
of `longline stop` on this host ends it too (`summary.reason` is `ordered`); while one stands it raises Ordered.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final

from stages.core.heed import VARIABLE, Heed, files_of_host, heeding
from stages.core.records import Hit, parse
from stages.core.settings import ListSettings
from stages.scanner import app
from stages.scanner.hits import HitLines
from stages.scanner.plugins.base import Plugin
from stages.scanner.rows import Answer
from stages.scanner.settings import ScannerSettings
from stages.scanner.summary import Summary

__all__ = ["Hit", "ListSettings", "Scan", "ScannerSettings", "scan"]

#: Batches of the writer that wait to be taken: while one is read the next one is made.
_BATCHES: Final = 1


class Scan:
    """One scan, which begins when it is iterated over. Once."""

    def __init__(self, settings: ScannerSettings, lists: ListSettings | None, plugins: Sequence[Plugin]) -> None:
        # Results come to whoever iterates; to a file as well where one is named.
        plain = {} if settings.output_file is not None else {"output_module": "null"}
        self._settings = settings.model_copy(update=plain)
        self._lists = lists
        self._plugins = plugins
        self._stop = asyncio.Event()
        self._begun = False
        self.summary: Summary | None = None  #: how it ended, once it has

    def stop(self) -> None:
        """End the sending; the cooldown is kept, and what comes then is told."""
        self._stop.set()

    async def __aiter__(self) -> AsyncGenerator[Hit, None]:
        """Raises UsageError, MissingCapability, Confined, HostError as the command would; RuntimeError the second
        time."""
        if self._begun:
            raise RuntimeError("a scan is iterated over once")
        self._begun = True
        taker = _Taker()
        task = asyncio.create_task(self._run(taker), name="scan")
        try:
            while (batch := await taker.batches.get()) is not None:
                for hit in batch:
                    yield hit
            await task
        finally:
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _run(self, taker: _Taker) -> None:
        try:
            async with heeding(Heed(files_of_host(os.environ.get(VARIABLE)))) as orders:
                self.summary = await app.scan(
                    self._settings,
                    lists=self._lists,
                    stop=self._stop,
                    plugins=self._plugins,
                    into=taker.of,
                    orders=orders,
                )
        finally:
            with suppress(asyncio.CancelledError):  # nobody takes any more
                await taker.batches.put(None)


def scan(settings: ScannerSettings, *, lists: ListSettings | None = None, plugins: Sequence[Plugin] = ()) -> Scan:
    """A scan to iterate over. `lists`: whom to leave alone; the special-purpose ranges are, unless targets name them.
    Nothing is read or sent before the first iteration."""
    return Scan(settings, lists, plugins)


class _Taker:
    """A destination that hands hits over."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[list[Hit] | None] = asyncio.Queue(_BATCHES)
        self._lines: HitLines | None = None

    def of(self, lines: HitLines) -> _Taker:
        self._lines = lines
        return self

    async def write(self, answers: Sequence[Answer]) -> None:
        if answers and self._lines is not None:
            records = map(parse, self._lines.lines(answers))
            await self.batches.put([record for record in records if isinstance(record, Hit)])

    async def settle(self) -> None:
        """Handed over is all there is."""

    async def close(self) -> None:
        """Nothing is held."""
