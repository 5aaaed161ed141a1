"""Conversations beside hits: where they go, and when a mark may count."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from stages.core.outcome import Outcome
from stages.proto.banner import Script
from stages.scanner.delivery import Delivery
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.rows import Answer
from stages.scanner.said import Grabbing, Keyed, Left, Rendered
from stages.scanner.speech import Speech
from stages.scanner.summary import Tally
from stages.scanner.writer import Writer
from tests.servers.answers import rst, synack


class Batch:
    def __init__(self, *positions: int) -> None:
        self.at = positions

    def __len__(self) -> int:
        return len(self.at)

    def positions(self) -> list[int]:
        return list(self.at)

    def rendered(self, wanted: Collection[int] | None) -> Rendered:
        chosen = [at for at in self.at if wanted is None or at in wanted]
        return [(b"key", b"said %d" % at) for at in chosen], {Outcome.OK: len(chosen)}


class Kept:
    """A destination of both kinds."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    async def write(self, answers: Sequence[Answer]) -> None:
        self.log.extend(answer.position for answer in answers)

    async def write_lines(self, lines: Sequence[Keyed]) -> None:
        self.log.extend(line.decode() for _, line in lines)

    async def settle(self) -> None: ...

    async def close(self) -> None: ...


class Work:
    """A writer with a speech whose conversations take no time."""

    def __init__(self, most: int | None = None, total: float = -2.0) -> None:
        self.log: list[object] = []
        self.seen: list[int] = []
        self.done: list[int] = []
        self.delivery = Delivery(asyncio.get_running_loop())
        self.tally = Tally()
        self.metrics = ScannerMetrics()
        kept = Kept(self.log)
        grabbing = Grabbing(
            name="wait", topic="t", begin=lambda host, port: Script().begin(host),
            record=lambda conversation, hit: (Outcome.OK, b""), expired=lambda hit, ts: b"", total=total,
        )  # fmt: skip
        self.speech = Speech(grabbing, [kept], tally=self.tally, metrics=self.metrics, on_said=self.done.extend)
        self.writer = Writer(
            self.delivery, [kept], publish="success", max_results=most, tally=self.tally, metrics=self.metrics,
            on_settled=self.settled, on_written=lambda answers: self.seen.extend(each.position for each in answers),
            speech=self.speech,
        )  # fmt: skip

    async def settled(self, position: int) -> None:
        self.log.append(f"settled {position}")


async def test_a_hit_is_done_when_what_was_said_with_it_is_written() -> None:
    work = Work()
    work.delivery.put([synack(position=1), rst(position=2), synack(position=3, repeat=1)])
    work.delivery.say(Batch(1))
    work.delivery.close()
    await work.writer.run()
    assert work.log == [1, "said 1"]
    assert work.seen == [2, 3]  # of the first something will be said
    assert work.done == [1]
    assert (work.tally.written, work.tally.banners) == (1, 1)
    assert work.metrics.conversations.value("ok") == 1


async def test_a_mark_ripens_behind_what_is_said_meanwhile() -> None:
    """Conversations of no length: the mark is put back at once, and counts when it is met again."""
    work = Work()
    task = asyncio.create_task(work.writer.run())
    work.delivery.put([synack(position=1)])
    work.delivery.mark(50, ripe=False)
    work.delivery.say(Batch(1))
    async with asyncio.timeout(60):
        while "settled 50" not in work.log:
            await asyncio.sleep(0)
    assert work.log == [1, "said 1", "settled 50"]
    work.delivery.close()
    await task


async def test_a_mark_that_is_not_ripe_at_the_end_counts_for_nothing() -> None:
    work = Work(total=3600.0)
    work.delivery.mark(50, ripe=False)
    work.delivery.mark(60)  # the end of the scan: everything is said
    work.delivery.close()
    await work.writer.run()
    assert work.log == ["settled 60"]
    await work.speech.close()


async def test_it_is_told_when_all_that_was_put_is_done() -> None:
    work = Work()
    work.delivery.put([synack(position=1)])
    met = work.delivery.meet()
    task = asyncio.create_task(work.writer.run())
    async with asyncio.timeout(60):
        await met.wait()
    assert work.log == [1]
    work.delivery.close()
    await task


async def test_of_enough_results_what_is_said_is_still_awaited() -> None:
    work = Work(most=2)
    work.delivery.put([synack(position=1), synack(position=2), synack(position=3)])
    task = asyncio.create_task(work.writer.run())
    async with asyncio.timeout(60):
        while not work.writer.enough:
            await asyncio.sleep(0)
    work.delivery.put([synack(position=4)])
    work.delivery.say(Batch(1, 3))
    work.delivery.say(Batch(2))
    work.delivery.mark(60)  # what was cut off is not acknowledged
    work.delivery.close()
    await task
    assert work.log == [1, 2, "said 1", "said 2"]
    assert work.tally.written == 2


async def test_hits_without_room_are_done_at_once() -> None:
    work = Work()
    work.delivery.put([synack(position=1)])
    work.delivery.say(Left([1]))
    work.delivery.close()
    await work.writer.run()
    assert work.log == [1]
    assert work.done == [1]
    assert work.tally.banners == 0


async def test_cut_off_no_mark_counts_that_waited_for_what_is_said() -> None:
    work = Work(total=0.0)
    work.delivery.mark(40, ripe=False)
    task = asyncio.create_task(work.writer.run())
    await asyncio.sleep(0)
    work.speech.cut_off()
    work.delivery.mark(50, ripe=False)
    work.delivery.mark(30)
    async with asyncio.timeout(60):
        while "settled 30" not in work.log:
            await asyncio.sleep(0)
    assert not work.speech._ripening
    work.delivery.close()
    await task
    assert work.log == ["settled 30"]
