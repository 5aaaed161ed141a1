"""A scanner's hits while those who take them are behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stages.core.bus.base import Output
from stages.core.bus.lagging import Lagging
from stages.core.bus.memory import MemoryBus
from stages.core.errors import HostError, Unavailable, UsageError

HITS = "t.hits.v1"
SCANS = "t.scans.v1"
SOON = 0.002


class Readers:
    """How far they are behind, as the test says."""

    def __init__(self) -> None:
        self.behind = 0
        self.asked = 0
        self.broken = False

    async def ask(self) -> int:
        self.asked += 1
        if self.broken:
            raise Unavailable("no answer")
        return self.behind

    async def be(self, behind: int) -> None:
        """Until it has been looked twice."""
        self.behind = behind
        await until(lambda asked=self.asked: self.asked >= asked + 2)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(SOON)


@asynccontextmanager
async def lagging(bus: MemoryBus, readers: Readers, way: str, **how: Any) -> AsyncIterator[Lagging]:
    made = Lagging(
        bus.publisher(),
        frozenset({HITS}),
        readers.ask,
        at_most=100,
        way=way,
        look_seconds=SOON,
        **how,  # type: ignore[arg-type]
    )
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def hits(*numbers: int) -> list[Output]:
    return [Output(HITS, b"k", b"%d" % n) for n in numbers]


def there(bus: MemoryBus, topic: str = HITS) -> list[bytes]:
    return list(bus.lines(topic))


async def test_nobody_is_behind() -> None:
    bus = MemoryBus(1)
    async with lagging(bus, Readers(), "pause") as log:
        await log.publish(hits(1, 2))
    assert there(bus) == [b"1", b"2"]


async def test_publishing_waits_until_half_of_the_bound() -> None:
    bus, readers = MemoryBus(1), Readers()
    async with lagging(bus, readers, "pause") as log:
        await readers.be(101)
        waiting = asyncio.create_task(log.publish(hits(1)))
        await log.publish([Output(SCANS, b"k", b"progress")])
        await readers.be(51)
        assert not waiting.done()
        await readers.be(50)
        await waiting
    assert (there(bus), there(bus, SCANS)) == ([b"1"], [b"progress"])


async def test_what_is_dropped_is_counted_and_the_rest_passes() -> None:
    bus, readers, dropped = MemoryBus(1), Readers(), []
    async with lagging(bus, readers, "drop", on_dropped=dropped.append) as log:
        await log.publish(hits(1))
        await readers.be(1_000)
        await log.publish([*hits(2, 3), Output(SCANS, b"k", b"end")])
        await readers.be(0)
        await log.publish(hits(4))
    assert (there(bus), there(bus, SCANS), dropped) == ([b"1", b"4"], [b"end"], [2])


async def test_what_is_spilled_comes_later_and_in_order(tmp_path: Path) -> None:
    bus, readers = MemoryBus(1), Readers()
    spill = tmp_path / "spill"
    async with lagging(bus, readers, "spill", spill=spill) as log:
        await readers.be(1_000)
        for n in range(5):
            await log.publish(hits(2 * n, 2 * n + 1))
        assert there(bus) == []
        assert spill.stat().st_mode & 0o777 == 0o600
        readers.behind = 0
        await log.publish(hits(10))  # whether it goes into the file or not, it stays behind the others
        await log.emptied()
        await until(lambda: len(there(bus)) == 11)
    assert there(bus) == [b"%d" % n for n in range(11)]
    assert not spill.exists()


async def test_what_is_left_over_is_published_first_by_the_next(tmp_path: Path) -> None:
    bus, readers = MemoryBus(1), Readers()
    spill = tmp_path / "spill"
    async with lagging(bus, readers, "spill", spill=spill) as log:
        await readers.be(1_000)
        await log.publish(hits(1, 2, 3))
    assert spill.exists()
    with spill.open("ab") as file:
        file.write(b'{"topic": "t.hits')  # a crash in the middle of a line
    again = Readers()
    async with lagging(bus, again, "spill", spill=spill) as log:
        await log.emptied()
    assert there(bus) == [b"1", b"2", b"3"]


class Failing:
    """A publisher whose log is away once."""

    ready = True

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.failures = 1

    async def start(self) -> None: ...

    async def publish(self, outputs: Sequence[Output]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        await self._inner.publish(outputs)

    async def close(self) -> None: ...


async def test_giving_back_is_tried_again(tmp_path: Path) -> None:
    bus, readers = MemoryBus(1), Readers()
    inner = Failing(bus.publisher())
    log = Lagging(
        inner, frozenset({HITS}), readers.ask, at_most=100, way="spill",  # type: ignore[arg-type]
        spill=tmp_path / "spill", look_seconds=SOON,
    )  # fmt: skip
    await log.start()
    await readers.be(1_000)
    await log.publish(hits(1, 2))
    await readers.be(0)
    await log.emptied()
    await log.close()
    assert (there(bus), inner.failures) == ([b"1", b"2"], 0)


async def test_readers_that_cannot_be_asked_leave_things_as_they_are() -> None:
    bus, readers = MemoryBus(1), Readers()
    async with lagging(bus, readers, "drop") as log:
        readers.broken = True
        await readers.be(1_000)
        await log.publish(hits(1))
    assert there(bus) == [b"1"]


async def test_the_file_has_a_bound(tmp_path: Path) -> None:
    bus, readers = MemoryBus(1), Readers()
    async with lagging(bus, readers, "spill", spill=tmp_path / "spill", max_spill_bytes=200) as log:
        await readers.be(1_000)
        await log.publish(hits(1))
        with pytest.raises(HostError, match="200 bytes"):
            await log.publish(hits(*range(10)))


async def test_a_file_that_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "spill").write_text("shopping list\n")
    log = Lagging(
        MemoryBus(1).publisher(), frozenset({HITS}), Readers().ask, at_most=1, way="spill", spill=tmp_path / "spill"
    )
    with pytest.raises(UsageError, match="no file of spilled hits"):
        await log.start()
    await log.close()
    assert (tmp_path / "spill").read_text() == "shopping list\n"


@pytest.mark.parametrize(("way", "spill"), [("spill", None), ("drop", Path("x")), ("pause", Path("x"))])
def test_the_file_goes_with_its_way(way: Any, spill: Path | None) -> None:
    with pytest.raises(UsageError, match="--spill-file"):
        Lagging(MemoryBus(1).publisher(), frozenset({HITS}), Readers().ask, at_most=1, way=way, spill=spill)


async def test_no_more_passes_than_is_left_to_the_bound() -> None:
    """Readers who take nothing: what is let through between two looks is bounded, however long these are apart."""
    bus = MemoryBus(1)

    async def behind() -> int:
        return len(there(bus))

    log = Lagging(bus.publisher(), frozenset({HITS}), behind, at_most=100, way="drop", look_seconds=1_000.0)
    await log.start()
    for n in range(50):
        await log.publish(hits(*range(10 * n, 10 * n + 10)))
    await log.close()
    assert len(there(bus)) == 100


async def test_who_waits_for_the_file_waits_also_while_there_is_no_room(tmp_path: Path) -> None:
    bus, readers = MemoryBus(1), Readers()
    async with lagging(bus, readers, "spill", spill=tmp_path / "spill") as log:
        await log.emptied()  # there is nothing yet
        await readers.be(1_000)
        await log.publish(hits(1))
        waiting = asyncio.create_task(log.emptied())
        await readers.be(1_000)
        assert not waiting.done()
        await readers.be(0)
        await waiting
    assert there(bus) == [b"1"]
