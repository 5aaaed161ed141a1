from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stages.core import records
from stages.core.bus.base import Topics
from stages.core.bus.memory import MemoryBus
from stages.core.errors import HostError, ReaderGone, RecordError, Unavailable, UsageError
from stages.core.outcome import DeadReason
from stages.core.records import Scan, prefix_key
from stages.scanner import destination, outputs
from stages.scanner.destination import BusDestination, FileDestination
from stages.scanner.fields import default_fields
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from tests.servers.answers import synack

HITS = HitLines(HitSource("s", "tcp_synscan"))


def csv(path: Path) -> FileDestination:
    return FileDestination.open(str(path), outputs.get("csv")(Format(default_fields("tcp_synscan", 1), HITS)))


async def test_a_file_is_changed_by_begin_not_by_open(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("precious")
    file = csv(path)
    assert path.read_text() == "precious"
    await file.begin(append=False)
    await file.write([synack()])
    assert path.read_text() == "saddr\n10.0.0.1\n"  # flushed: a reader sees it while the scan runs
    await file.settle()
    await file.close()


async def test_a_resumed_scan_appends_without_a_second_header(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    for append in (False, True, True):
        file = csv(path)
        await file.begin(append=append)
        await file.write([synack()])
        await file.write([])
        await file.close()
    assert path.read_text() == "saddr\n10.0.0.1\n10.0.0.1\n10.0.0.1\n"


async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"-o/--output-file: '.*/none/out': cannot be written: No such file"):
        csv(tmp_path / "none" / "out")
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        csv(tmp_path)


async def test_a_full_disk() -> None:
    file = csv(Path("/dev/full"))
    with pytest.raises(HostError, match="results cannot be written to /dev/full: No space left on device"):
        await file.begin(append=False)
    await file.close()  # what is in the buffer fails again, and was told


async def test_a_reader_that_went_away() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "wb")
    file = FileDestination("-", stream, outputs.get("csv")(Format(default_fields("tcp_synscan", 1), HITS)))
    with pytest.raises(ReaderGone):
        await file.begin(append=False)
    await file.settle()  # a pipe has no disk
    await file.close()


async def test_hits_go_to_their_topic_by_prefix() -> None:
    bus = MemoryBus()
    publisher = bus.publisher()
    await publisher.start()
    to = BusDestination(publisher, Topics(), HITS)
    answers = [synack(address=f"10.0.{i % 7}.{i % 250}") for i in range(4_500)]  # more than one batch
    await to.write(answers)
    messages = bus.messages(Topics().hits)
    hits = [records.parse(line) for message in messages for line in message.value.splitlines()]
    assert len(hits) == len(answers)
    for message in messages:
        for line in message.value.splitlines():
            assert message.key == prefix_key(records.parse(line).ip)  # type: ignore[union-attr]
    await to.record(Scan("s", 1, "start", spec={"seed": 1}))
    (line,) = bus.lines(Topics().scans)
    assert records.parse(line) == Scan("s", 1, "start", spec={"seed": 1})
    await to.settle()
    await to.close()
    await publisher.close()


class Flaky:
    """A publisher that raises what it is told to, then works."""

    ready = True

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.published = 0

    async def publish(self, outputs: object) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.published += 1


async def test_a_log_out_of_reach_is_tried_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "FIRST_BACKOFF", 0.001)
    flaky = Flaky(Unavailable("no broker"), Unavailable("no broker"))
    retries: list[int] = []
    await BusDestination(flaky, Topics(), HITS, on_retry=lambda: retries.append(1)).write([synack()])  # type: ignore[arg-type]
    assert flaky.published == 1
    assert len(retries) == 2


async def test_what_cannot_be_tried_again_is_raised() -> None:
    to = BusDestination(Flaky(RecordError(DeadReason.BUG, "x")), Topics(), HITS)  # type: ignore[arg-type]
    with pytest.raises(RecordError):
        await to.write([synack()])


async def test_a_stopped_scan_does_not_try_for_ever() -> None:
    to = BusDestination(Flaky(Unavailable("no broker")), Topics(), HITS, give_up=lambda: True)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await to.write([synack()])


class Full:
    """A log that takes nothing: nobody reads it."""

    async def publish(self, outputs: object) -> None:
        await asyncio.Event().wait()


async def test_a_stopped_scan_does_not_wait_for_ever_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "LOOK_SECONDS", 0.01)
    asked: list[int] = []

    def give_up() -> bool:
        asked.append(1)
        return len(asked) > 2

    to = BusDestination(Full(), Topics(), HITS, give_up=give_up)  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="the log takes nothing"):
        await asyncio.wait_for(to.write([synack()]), 10)
    assert len(asked) >= 3


async def test_who_waits_for_room_can_be_cancelled() -> None:
    to = BusDestination(Full(), Topics(), HITS)  # type: ignore[arg-type]
    task = asyncio.create_task(to.write([synack()]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
