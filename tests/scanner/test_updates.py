"""When an output module's time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from stages.scanner.destination import FileDestination
from stages.scanner.plugins.base import Progress
from stages.scanner.rows import Answer
from stages.scanner.summary import Counters
from stages.scanner.updates import Updates


class Ticking:
    interval = 2.0

    def begin(self) -> bytes:
        return b"top\n"

    def render(self, answers: Sequence[Answer]) -> bytes:
        return b""

    def update(self, progress: Progress) -> bytes:
        return b"%d of %d\n" % (progress.position, progress.last)


class Plain:
    def begin(self) -> bytes:
        return b"top\n"

    def render(self, answers: Sequence[Answer]) -> bytes:
        return b""


def at(position: int) -> Progress:
    return Progress(position, 9, 0, 0, Counters())


async def lines(path: Path, module: Ticking | Plain) -> list[str]:
    file = FileDestination.open(str(path), module)
    await file.begin(append=False)
    updates = Updates(file)
    for now, position in ((10.0, 0), (11.9, 1), (12.0, 2), (13.0, 3), (14.0, 4), (19.0, 7)):
        updates.look(now, at(position))
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)
    await updates.end(at(9))
    await file.close()
    return path.read_text().splitlines()


class Curious(Plain):
    def packets(self, data: bytes) -> None:
        """All of them."""


async def test_who_asks_for_packets_or_time_is_known(tmp_path: Path) -> None:
    curious, ticking, plain = Curious(), Ticking(), Plain()
    files = [FileDestination.open(str(tmp_path / "out"), module) for module in (curious, ticking, plain)]
    assert [file.raw for file in files] == [curious.packets, None, None]
    assert [file.interval for file in files] == [None, 2.0, None]
    for file in files:
        await file.close()


async def test_at_its_interval_and_at_the_end(tmp_path: Path) -> None:
    assert await lines(tmp_path / "out", Ticking()) == ["top", "2 of 9", "4 of 9", "7 of 9", "9 of 9"]
    assert await lines(tmp_path / "plain", Plain()) == ["top"]
    Updates(None).look(1.0, at(1))
    await Updates(None).end(at(1))
