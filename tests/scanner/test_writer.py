from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

import pytest

from stages.core.errors import HostError
from stages.scanner.delivery import Delivery
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.rows import Answer
from stages.scanner.summary import Tally
from stages.scanner.writer import Writer
from tests.servers.answers import rst, synack


class Kept:
    """A destination that writes down what happens to it."""

    def __init__(self, log: list[object], fail: bool = False) -> None:
        self.log = log
        self.fail = fail

    async def write(self, answers: Sequence[Answer]) -> None:
        await asyncio.sleep(0)
        if self.fail:
            raise HostError("disk full")
        self.log.append([answer.port for answer in answers])

    async def settle(self) -> None:
        self.log.append("settled")

    async def close(self) -> None: ...


class Work:
    def __init__(
        self, publish: Literal["success", "all"] = "success", most: int | None = None, fail: bool = False
    ) -> None:
        self.log: list[object] = []
        self.delivery = Delivery(asyncio.get_running_loop())
        self.tally = Tally()
        self.metrics = ScannerMetrics()
        self.writer = Writer(
            self.delivery, [Kept(self.log, fail)], publish=publish, max_results=most, tally=self.tally,
            metrics=self.metrics, on_settled=self.settled,
        )  # fmt: skip

    async def settled(self, position: int) -> None:
        self.log.append(position)


async def test_a_mark_counts_after_everything_before_it_is_safe() -> None:
    work = Work()
    work.delivery.put([synack(port=1), rst(port=2), synack(port=3, repeat=1)])
    work.delivery.mark(50)
    work.delivery.put([synack(port=4)])
    work.delivery.close()
    await work.writer.run()
    assert work.log == [[1], "settled", 50, [4]]
    assert work.tally == Tally(success=2, repeats=1, failures=1, written=2)
    assert work.metrics.written.value() == 2
    assert work.metrics.answers.value("rst") == 1


async def test_all_answers() -> None:
    work = Work("all")
    work.delivery.put([synack(port=1), rst(port=2), synack(port=3, repeat=1)])
    work.delivery.close()
    await work.writer.run()
    assert work.log == [[1, 2, 3]]


async def test_exactly_so_many_results_and_no_mark_behind_them() -> None:
    work = Work(most=3)
    work.delivery.put([synack(port=port) for port in range(5)])
    work.delivery.mark(50)
    await work.writer.run()  # returns although the delivery goes on
    assert work.log == [[0, 1, 2], "settled"]
    assert work.writer.enough
    assert work.tally.written == 3


async def test_a_destination_that_fails_ends_it_and_settles_nothing() -> None:
    work = Work(fail=True)
    work.delivery.put([synack()])
    work.delivery.mark(50)
    with pytest.raises(HostError):
        await work.writer.run()
    assert work.log == []
    assert work.tally.written == 0
