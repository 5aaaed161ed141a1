"""An output module that writes now and then, also when nothing is found: when it is its time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stages.scanner.destination import Destination, FileDestination

if TYPE_CHECKING:
    from stages.scanner.plugins.base import Progress


class Updates:
    """Of one output file. One loop's."""

    def __init__(self, file: Destination | None) -> None:
        self._file = file if isinstance(file, FileDestination) and file.interval is not None else None
        self._due: float | None = None
        self._under_way: asyncio.Task[None] | None = None

    def look(self, now: float, progress: Progress) -> None:
        """Called often, with monotonic seconds. Raises what an earlier update raised."""
        if self._file is None or self._file.interval is None:
            return
        if self._due is None:
            self._due = now + self._file.interval
        if self._under_way is not None and self._under_way.done():
            self._under_way.result()
            self._under_way = None
        if now >= self._due and self._under_way is None:
            self._due = max(self._due + self._file.interval, now)
            self._under_way = asyncio.create_task(self._file.update(progress), name="output update")

    async def end(self, progress: Progress) -> None:
        """The last one."""
        if self._under_way is not None:
            await self._under_way
            self._under_way = None
        if self._file is not None:
            await self._file.update(progress)
