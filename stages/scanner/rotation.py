"""An output file that is begun anew by time or size; finished ones are moved away with their time in their name.

    scan.xml  ->  DIRECTORY/261126-080000-scan.xml        the time (UTC) when it was finished

It is looked whether the time has come before something is written: a file is whole when it is moved, and one that got
nothing since stays.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from stages.core.errors import HostError, UsageError
from stages.scanner.destination import FileDestination
from stages.scanner.outputs.base import OutputModule
from stages.scanner.rows import Answer
from stages.scanner.settings import ScannerSettings

#: Files of one name and second beyond this are a fault.
_MAX_SAME: Final = 10_000


def open_file(name: str, make: Callable[[], OutputModule], settings: ScannerSettings) -> FileDestination:
    """The output file of a scan, opened and not changed yet. Raises UsageError."""
    if not settings.rotates:
        return FileDestination.open(name, make())
    directory = Path(settings.rotate_dir) if settings.rotate_dir is not None else Path(name).parent
    if not directory.is_dir():
        raise UsageError("--rotate-dir", str(directory), "there is no such folder")
    file = RotatingFile.open(name, make())
    assert isinstance(file, RotatingFile)
    file.every, file.offset = settings.rotate, settings.rotate_offset
    file.size, file.directory, file.make = settings.rotate_size, directory, make
    return file


def next_time(now: float, every: float, offset: float) -> float:
    """The next whole multiple of `every` (since the epoch), `offset` later."""
    return ((now - offset) // every + 1) * every + offset


class RotatingFile(FileDestination):
    """An output module on one file after another. Made by `open_file`."""

    every: float | None
    offset: float
    size: int | None
    directory: Path
    make: Callable[[], OutputModule]

    def __init__(self, name: str, file: BinaryIO, module: OutputModule) -> None:
        super().__init__(name, file, module)
        self._due: float | None = None
        self._fresh = True

    async def write(self, answers: Sequence[Answer]) -> None:
        if answers:
            await asyncio.to_thread(self._rotate_where_due, time.time())
        await super().write(answers)
        self._fresh = self._fresh and not answers

    def _rotate_where_due(self, now: float) -> None:
        if self.every is not None and self._due is None:
            self._due = next_time(now, self.every, self.offset)
        late = self._due is not None and now >= self._due
        if self._regular and not self._fresh and (late or (self.size is not None and self._file.tell() >= self.size)):
            self._move_away(now)
        if late and self.every is not None:
            self._due = next_time(now, self.every, self.offset)

    def _move_away(self, now: float) -> None:
        try:
            self._finish()
            self._file.close()
            os.replace(self._name, self._free_name(now))
            self._file = open(self._name, "xb")  # noqa: SIM115
        except OSError as error:
            raise self._mapped(error) from None
        self._module = self.make()
        self._begin(append=False)
        self._fresh = True

    def _free_name(self, now: float) -> Path:
        """A name that nothing has yet."""
        stamp = time.strftime("%y%m%d-%H%M%S", time.gmtime(now))
        name = Path(self._name)
        for number in range(_MAX_SAME):
            more = f".{number:02d}" if number else ""
            found = self.directory / f"{stamp}-{name.stem}{more}{name.suffix}"
            if not found.exists():
                return found
        raise HostError(f"{self.directory}: {_MAX_SAME} files of {stamp} and {name.name} are there already")
