"""The agent's side of the way by a log: a question goes to one topic, its answer is waited for on another.

Questions are signed with the agent's key; an answer is taken if the coordinator has signed it, and if it is to a
question that waits (`envelope.py`). All else that stands on the topic is others' business, and is left alone unread.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from stages.core.bus.base import Output, Publisher, Tail, Topics
from stages.core.errors import HostError, LonglineError, Unavailable, UsageError
from stages.fleet import envelope
from stages.fleet.envelope import Forged, Malformed, Opened, Opener, Reply, Request, Signer
from stages.fleet.logserver import lane
from stages.fleet.messages import MAX_MESSAGE

log = logging.getLogger("longline.fleet.logway")

#: Seconds for one question with its answer, as on the other way: a coordinator that begins anew is waited for.
ANSWER_SECONDS: Final = 30.0

#: Seconds that an empty log is waited for; and until the next try where it is away.
POLL_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0

#: The first part of the topics' names, behind the brokers.
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII).fullmatch


class LogWay:
    """One side's way to a coordinator. Close it."""

    def __init__(
        self,
        url: str,
        publisher: Publisher,
        tail: Tail,
        topics: Topics,
        box: str,
        *,
        signer: Signer | None,
        authority: bytes | None,
        clock: Callable[[], float],
    ) -> None:
        """`tail` reads `topics.work` for the key `box`, 32 random hex digits. `signer` None: without a certificate;
        `authority`: the PEM to trust, None: nobody is checked. `clock`: seconds since the epoch."""
        self.url = url
        self._publisher, self._tail, self._topics, self._box = publisher, tail, topics, box
        self._signer, self._clock = signer, clock
        try:
            self._opener = None if authority is None else Opener(authority, Reply)
        except ValueError as error:
            raise HostError(f"{url}: the authority's certificate cannot be read: {error}") from None
        self._waiting: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        self._turn = asyncio.Lock()
        self._last = 0
        self._starting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._told = False

    async def post(self, path: str, body: bytes, token: str = "") -> tuple[int, bytes]:
        """(status, body). Raises Unavailable; HostError where the log lets us in no more."""
        if len(body) > MAX_MESSAGE:
            raise HostError(f"{self.url}: a message of {len(body)} bytes, at most {MAX_MESSAGE}")
        name = ""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._started()
                async with self._turn:  # moments rise in the order in which they come to the log
                    self._last = max(self._last + 1, envelope.moment(self._clock()))
                    head = Request(box=self._box, at=self._last, path=path, token=token)
                    signed = self._signer.seal(head, body) if self._signer else envelope.unsigned(head, body)
                    name = envelope.digest(signed)
                    answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
                    self._waiting[name] = answer
                    await self._publisher.publish([Output(lane(path, self._topics), self._box.encode(), signed)])
                return await answer
        except TimeoutError:
            raise Unavailable(f"{self.url}: no answer in {ANSWER_SECONDS:.0f} s") from None
        finally:
            self._waiting.pop(name, None)

    async def _started(self) -> None:
        """Both ends are open. What begins it goes on when this is cancelled."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name=f"start {self.url}")
        await asyncio.shield(self._starting)
        if self._reading is not None and self._reading.done():
            self._reading.result()

    async def _start(self) -> None:
        await self._tail.start()
        await self._publisher.start()
        self._reading = asyncio.create_task(self._read(), name=f"answers {self.url}")

    async def _read(self) -> None:
        """For ever. Raises HostError."""
        try:
            while True:
                try:
                    for chunk in await self._tail.poll(POLL_SECONDS):
                        for line in chunk.lines:
                            self._heard(line)
                except Unavailable as error:
                    log.debug("%s: %s", self.url, error)
                    await asyncio.sleep(RETRY_SECONDS)
        except LonglineError as error:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(error)
            raise

    def _heard(self, line: bytes) -> None:
        try:
            if envelope.box_of(line) != self._box:
                return
            opened: Opened[Reply] = (
                envelope.unproven(Reply, line) if self._opener is None else self._opener.open(line, self._clock())
            )
        except (Malformed, Forged) as error:
            if not self._told:
                self._told = True
                log.warning(
                    "%s: an answer is not the coordinator's: %s; more of this kind is left alone", self.url, error
                )
            return
        answer = self._waiting.get(opened.head.to)
        if answer is None or answer.done():
            return  # to an older question, or heard before
        if opened.ended:
            answer.set_exception(HostError(f"{self.url} is not our coordinator: {opened.ended}"))
        else:
            answer.set_result((opened.head.status, opened.body))

    async def close(self) -> None:
        for task in (self._starting, self._reading):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, LonglineError):
                    await task
        await self._tail.close()
        await self._publisher.close()


def place_of(url: str, prefix: str, option: str = "COORDINATOR") -> tuple[str, str]:
    """(URL of the log, first part of its topics' names) of `kafka://HOST:PORT[,HOST:PORT][/PREFIX]` or `sqlite:FILE`.
    Raises UsageError that names `option`."""
    if url.startswith("sqlite:") and url.removeprefix("sqlite:").strip("/"):
        return url, prefix
    if url.startswith("kafka://"):
        hosts, _, named = url.removeprefix("kafka://").removesuffix("/").partition("/")
        if hosts and (not named or _PREFIX(named)):
            return f"kafka://{hosts}", named or prefix
    raise UsageError(option, url, "not kafka://HOST:PORT[,HOST:PORT][/PREFIX] or sqlite:FILE")
