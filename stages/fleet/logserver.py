"""The coordinator's side of the way by a log: requests are read from two topics, answers go to a third.

A request is looked at when it is an envelope of our authority (`envelope.py`), of a moment near our own, and later than
all of its kind that this agent has sent before. That it was heard is committed first, so whatever the log delivers
again, and whatever somebody copies, is never carried out twice: its answer says to ask again. Offsets are committed
behind the answers. Between the two a coordinator may die at any point: what was not answered is asked again by the
agent, as after an answer that is lost on the other way, and all that it may ask bears being asked again.

One process reads: it that owns the state (`state.own`). Requests of one agent are carried out in their order, those of
different ones side by side.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from stages.core.bus.base import Chunk, Output, Partition, Publisher, Source, Topics
from stages.core.errors import Unavailable
from stages.core.pacing import backoff
from stages.fleet import envelope, messages
from stages.fleet.coordinator import Answer
from stages.fleet.envelope import WINDOW, Forged, Malformed, Opened, Opener, Reply, Request, Signer
from stages.fleet.https import Handle
from stages.fleet.metrics import FleetMetrics
from stages.fleet.state import State

log = logging.getLogger("longline.fleet.logserver")

#: Requests that are looked at together; and seconds that an empty log is waited for.
BATCH: Final = 200
POLL_SECONDS: Final = 1.0

#: Seconds between two tries while the log is away.
RETRY_FIRST: Final = 0.2
RETRY_CEILING: Final = 5.0

#: To whoever does not come later than all before with the same certificate.
_ASKED_BEFORE: Final = (
    "asked before, by a clock that was set back, or another process is there with your alias: ask again"
)

#: What an agent says of itself, and not of work: its topic is that of the signs of life.
_OF_ITSELF: Final = frozenset({"/v1/hello", "/v1/check", "/v1/enrol", "/v1/authority"})


def lane(path: str, topics: Topics) -> str:
    """The topic that requests of this path go to, whichever they came by."""
    return topics.agents if path in _OF_ITSELF else topics.claims


class LogServer:
    """`run` it until it is cancelled."""

    def __init__(
        self,
        handle: Handle,
        source: Source,
        publisher: Publisher,
        topics: Topics,
        state: State,
        signer: Signer,
        authority: bytes,
        *,
        clock: Callable[[], float],
        metrics: FleetMetrics,
    ) -> None:
        """`authority`: its certificate, PEM. `source` reads `topics.agents` and `topics.claims`."""
        self._handle, self._state, self._signer = handle, state, signer
        self._source, self._publisher, self._topics = source, publisher, topics
        self._opener = Opener(authority, Request)
        self._clock, self._metrics = clock, metrics
        self._told: set[str] = set()
        self._failures = 0

    @property
    def ready(self) -> bool:
        return self._source.ready and self._publisher.ready

    async def run(self) -> None:
        """Raises HostError: nothing can be answered any more."""
        try:
            await self._publisher.start()
            await self._source.start(_nothing_to_give)
            log.info("agents are welcome by the topics %s and %s", self._topics.agents, self._topics.claims)
            while True:
                try:
                    await self.turn(await self._source.poll(BATCH, POLL_SECONDS))
                    self._failures = 0
                except Unavailable as error:  # what was asked meanwhile is asked again
                    if not self._failures:
                        log.warning("the log of the fleet cannot be reached: %s", error)
                    await asyncio.sleep(backoff(self._failures, RETRY_FIRST, RETRY_CEILING))
                    self._failures += 1
        finally:
            await self._source.close()
            await self._publisher.close()

    async def turn(self, chunks: Sequence[Chunk]) -> None:
        """Answer all requests in these, then commit. Raises HostError, Unavailable."""
        asked = [opened for chunk in chunks for line in chunk.lines if (opened := self._open(line)) is not None]
        answers = await self._answers(asked)
        outputs = [
            Output(self._topics.work, opened.head.box.encode(), self._seal(opened, answer))
            for opened, answer in zip(asked, answers, strict=True)
        ]
        done: dict[Partition, int] = {(chunk.topic, chunk.partition): chunk.next_offset for chunk in chunks}
        await self._publisher.settle(outputs, self._source, done)

    def _open(self, line: bytes) -> Opened[Request] | None:
        try:
            return self._opener.open(line, self._clock())
        except Malformed as error:
            self._flawed("malformed", error)
        except Forged as error:
            self._flawed("forged", error)
        return None

    def _flawed(self, why: str, detail: object) -> None:
        """Told once of each kind; the rest is counted."""
        self._metrics.flawed.add(1, why)
        if why not in self._told:
            self._told.add(why)
            log.warning("a request by the log is %s: %s; more of this kind is only counted", why, detail)

    async def _answers(self, asked: Sequence[Opened[Request]]) -> list[Answer]:
        """In the order of what was asked."""
        answers: list[Answer | None] = [self._unfit(opened) for opened in asked]
        signed = [n for n, opened in enumerate(asked) if answers[n] is None and opened.serial is not None]
        moments = [(str(asked[n].serial), lane(asked[n].head.path, self._topics), asked[n].head.at) for n in signed]
        for n, fresh in zip(signed, await self._state.fresh(moments) if moments else (), strict=True):
            if not fresh:
                self._flawed("replayed", f"one of serial {asked[n].serial}")
                answers[n] = _problem(503, _ASKED_BEFORE)
        queues: dict[str, list[int]] = {}
        for n, opened in enumerate(asked):
            if answers[n] is None:
                queues.setdefault(opened.serial or opened.head.box, []).append(n)

        async def one_after_the_other(numbers: Sequence[int]) -> None:
            for n in numbers:
                head = asked[n].head
                answers[n] = await self._handle(head.path, asked[n].serial, head.token, asked[n].body)

        ended = await asyncio.gather(*map(one_after_the_other, queues.values()), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        return [answer for answer in answers if answer is not None]

    def _unfit(self, opened: Opened[Request]) -> Answer | None:
        """Why a request is not looked at whose sender is known."""
        if opened.ended:
            self._flawed("forged", opened.ended)
            return _problem(403, opened.ended)
        skew = envelope.skew(opened.head.at, self._clock())
        if abs(skew) > WINDOW:
            self._flawed("skewed", f"{skew:+.0f} s")
            way = f"{skew:.0f} s ahead of" if skew > 0 else f"{-skew:.0f} s behind"
            return _problem(503, f"your clock is {way} the coordinator's, or this waited: at most {WINDOW:.0f} s")
        return None

    def _seal(self, asked: Opened[Request], answer: Answer) -> bytes:
        return self._signer.seal(Reply(box=asked.head.box, to=asked.digest, status=answer.status), answer.body)


def _problem(status: int, why: str) -> Answer:
    return Answer(status, messages.dump(messages.Problem(error=why)))


async def _nothing_to_give(partitions: Sequence[Partition]) -> None:
    """Who loses the partitions has committed that it heard what it is answering: it is not carried out again."""
