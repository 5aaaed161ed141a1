"""Where the conversations of a scan go, and when a mark may count that was set before they had ended.

A conversation takes `total` seconds at most from its hit on, so what was said with the targets before a mark is written
when that time has passed behind it: the mark is put back for so long. Then a checkpoint says of a position that its
hits *and* their banners are acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from stages.scanner.answers import SYNACK
from stages.scanner.delivery import Delivery, Mark
from stages.scanner.dialled import Dialled
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.rows import Answer, Packed, kinds_in
from stages.scanner.said import Grabbing, Keyed, Said
from stages.scanner.summary import Tally

#: Seconds from the end of a conversation to its standing in the delivery, at most: batches take milliseconds, the rest
#: is for a machine that is busy.
HAND_OVER: Final = 2.0


class Lines(Protocol):
    """Takes records of conversations (`stages.scanner.destination`)."""

    async def write_lines(self, lines: Sequence[Keyed]) -> None: ...

    async def settle(self) -> None: ...


class Speech:
    """The writer's part in it."""

    def __init__(
        self,
        grabbing: Grabbing,
        destinations: Sequence[Lines],
        *,
        tally: Tally,
        metrics: ScannerMetrics,
        on_said: Callable[[Sequence[int]], None],
        selected: bool = False,
    ) -> None:
        """`on_said` gets positions of which nothing more will come. `selected`: something will be said only with those
        that are taken."""
        self._destinations = destinations
        self._tally = tally
        self._metrics = metrics
        self._on_said = on_said
        self._delay = grabbing.total + HAND_OVER
        self._ripening: set[asyncio.TimerHandle] = set()
        self._cut_off = False
        self.dialled: Dialled | None = None  #: who goes on with hits, where the engine does not
        self._selected: set[int] | None = set() if selected else None  # positions taken of the batch written last

    async def write(self, said: Sequence[Said], wanted: Collection[int] | None) -> None:
        """Write batches of conversations: those of `wanted` positions, all if it is None."""
        for batch in said:
            lines, outcomes = batch.rendered(wanted)
            for destination in self._destinations:
                await destination.write_lines(lines)
            self._tally.banners += len(lines)
            self._metrics.said(outcomes)
            self._on_said(batch.positions())

    async def take(self, answers: Sequence[Answer]) -> None:
        """Hits that were written."""
        if self._cut_off or (self._selected is None and self.dialled is None):
            return
        opened = [answer for answer in answers if _opened(answer)]
        if self._selected is not None:
            self._selected = {answer.position for answer in opened}
        if self.dialled is not None:
            await self.dialled.take(opened)

    def without(self, answers: Sequence[Answer]) -> Sequence[Answer]:
        """Those that are done when they are written: of the others something will be said."""
        chosen = self._selected
        if chosen is None and isinstance(answers, Packed):
            return answers.where(~(kinds_in(answers, [SYNACK]) & (answers.array["repeat"] == 0)))
        return [
            answer
            for answer in answers
            if not _opened(answer) or (chosen is not None and answer.position not in chosen)
        ]

    def ripen(self, mark: Mark, delivery: Delivery) -> None:
        """Put the mark back when what was said before it is written."""
        if self._cut_off:
            return

        def ripe() -> None:
            self._ripening.discard(handle)
            delivery.mark(mark.position)

        handle = asyncio.get_running_loop().call_later(self._delay, ripe)
        self._ripening.add(handle)

    def cut_off(self) -> None:
        """What is under way is dropped: no mark that has not ripened will, as its hits have to come again."""
        self._cut_off = True
        for handle in self._ripening:
            handle.cancel()
        self._ripening.clear()
        if self.dialled is not None:
            self.dialled.abort()

    async def drained(self) -> None:
        """Until all that was dialled here has ended."""
        if self.dialled is not None:
            await self.dialled.drained()

    async def settle(self) -> None:
        for destination in self._destinations:
            await destination.settle()

    async def close(self) -> None:
        for handle in self._ripening:
            handle.cancel()
        if self.dialled is not None:
            await self.dialled.close()


def _opened(answer: Answer) -> bool:
    """Whether it is the one hit of its target."""
    return answer.kind == SYNACK and not answer.repeat
