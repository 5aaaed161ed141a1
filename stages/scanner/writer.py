"""The task that takes answers out of the delivery and has them written, in order.

It selects what is published, counts, and stops at --max-results. When it meets a mark, all that came before is
acknowledged by every destination: the mark's position is settled. Where the scan goes on with what it opened, a mark
ripens first: it is put back behind what is said meanwhile with the targets before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from stages.scanner.answers import KIND_NAMES, SUCCESSES
from stages.scanner.delivery import Delivery
from stages.scanner.destination import Destination
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.rows import Answer, Publish, counted, positions, select
from stages.scanner.speech import Speech
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
        speech: Speech | None = None,
        follow: Callable[[Sequence[Answer]], Sequence[Answer]] | None = None,
    ) -> None:
        """`on_written` gets the answers that need not come again; acknowledged they are when the next mark is met.
        `speech`: where conversations go, if there are any; `follow`: with which of those written they are; None: all.
        """
        self._delivery = delivery
        self._destinations = destinations
        self._publish = publish
        self._tally = tally
        self._metrics = metrics
        self._left = max_results
        self._on_settled = on_settled
        self._on_written = on_written
        self._speech = speech
        self._follow = follow
        self._wanted: set[int] | None = None if speech is None or max_results is None else set()
        self.enough = False  #: --max-results are written; the rest was dropped

    async def run(self) -> None:
        """Returns at the end, or when --max-results are written. Raises what a destination raises."""
        while (taken := await self._delivery.take(BATCH)) is not None:
            answers, mark, said = taken
            if not self.enough:
                await self._write(answers)
            if self._speech is not None:
                await self._speech.write(said, self._wanted)
            if self.enough and self._speech is None:
                await self._settle_destinations()
                return
            if mark is not None and mark.met is not None:
                mark.met.set()
            elif mark is not None and not self.enough:
                if self._speech is not None and not mark.ripe:
                    self._speech.ripen(mark, self._delivery)
                    continue
                await self._settle_destinations()
                await self._on_settled(mark.position)
        if self.enough:
            await self._settle_destinations()

    async def _write(self, answers: Sequence[Answer]) -> None:
        self._count(answers)
        chosen = select(answers, self._publish)
        if self._left is not None:
            chosen = chosen[: self._left]
            self._left -= len(chosen)
        for destination in self._destinations:
            await destination.write(chosen)
        # What was cut off is not acknowledged: no mark behind this may count.
        self.enough = self._left == 0
        done: Sequence[Answer] = chosen if self.enough else answers
        if self._speech is not None:
            if self._wanted is not None:
                self._wanted.update(positions(chosen))
            await self._speech.take(chosen if self._follow is None else self._follow(chosen))
            done = self._speech.without(done)
        self._on_written(done)
        self._tally.written += len(chosen)
        self._metrics.written.add(len(chosen))

    async def _settle_destinations(self) -> None:
        for destination in self._destinations:
            await destination.settle()
        if self._speech is not None:
            await self._speech.settle()

    def _count(self, answers: Sequence[Answer]) -> None:
        if not answers:
            return
        kinds: Counter[str] = Counter()
        tally, repeats = self._tally, 0
        for (kind, repeat), number in counted(answers).items():
            kinds[KIND_NAMES[kind]] += number
            if repeat:
                repeats += number
            elif kind in SUCCESSES:
                tally.success += number
            else:
                tally.failures += number
        tally.repeats += repeats
        self._metrics.answered(kinds, repeats)
