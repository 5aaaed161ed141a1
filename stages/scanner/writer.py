"""The task that takes answers out of the delivery and has them written, in order.

It selects what is published, counts, and stops at --max-results. When it meets a mark, all that came before is
acknowledged by every destination: the mark's position is settled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from stages.scanner.answers import SUCCESSES
from stages.scanner.delivery import Delivery
from stages.scanner.destination import Destination
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.rows import Answer, Publish, select
from stages.scanner.summary import Tally

#: Answers handled in one turn: some 10 ms of work in the loop.
BATCH: Final = 2_000


class Writer:
    """Takes until the delivery ends or enough was written. `on_settled` gets the positions of marks."""

    def __init__(
        self,
        delivery: Delivery,
        destinations: Sequence[Destination],
        *,
        publish: Publish,
        tally: Tally,
        metrics: ScannerMetrics,
        max_results: int | None = None,
        on_settled: Callable[[int], Awaitable[None]],
        on_written: Callable[[Sequence[Answer]], None] = lambda answers: None,
    ) -> None:
        """`on_written` gets the answers that need not come again; acknowledged they are when the next mark is met."""
        self._delivery = delivery
        self._destinations = destinations
        self._publish = publish
        self._tally = tally
        self._metrics = metrics
        self._left = max_results
        self._on_settled = on_settled
        self._on_written = on_written
        self.enough = False  #: --max-results are written; the rest was dropped

    async def run(self) -> None:
        """Returns at the end, or when --max-results are written. Raises what a destination raises."""
        while (taken := await self._delivery.take(BATCH)) is not None:
            answers, mark = taken
            self._count(answers)
            chosen = select(answers, self._publish)
            if self._left is not None:
                chosen = chosen[: self._left]
                self._left -= len(chosen)
            for destination in self._destinations:
                await destination.write(chosen)
            self._on_written(chosen if self._left == 0 else answers)
            self._tally.written += len(chosen)
            self._metrics.written.add(len(chosen))
            if self._left == 0:
                # What was cut off is not acknowledged: no mark behind this may count.
                self.enough = True
                await self._settle_destinations()
                return
            if mark is not None:
                await self._settle_destinations()
                await self._on_settled(mark.position)

    async def _settle_destinations(self) -> None:
        for destination in self._destinations:
            await destination.settle()

    def _count(self, answers: Sequence[Answer]) -> None:
        if not answers:
            return
        self._metrics.answered(answers)
        tally = self._tally
        for answer in answers:
            if answer.repeat:
                tally.repeats += 1
            elif answer.kind in SUCCESSES:
                tally.success += 1
            else:
                tally.failures += 1
