"""One coordinator, as an agent sees it: what is said to it, in order, for as long as it takes.

What a coordinator says is trusted no more than what comes from a target: nonsense is like no answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from stages.core.errors import ListError, Unavailable, UsageError
from stages.core.netset import NetSet
from stages.core.pacing import backoff
from stages.fleet import messages
from stages.fleet.messages import MAX_WITHOUT, PROTOCOL, SKEW, Ask, Capabilities, Order, Slice
from stages.fleet.spool import Item, Spool
from stages.fleet.work import Strict, netset

log = logging.getLogger("longline.fleet.link")

M = TypeVar("M", bound=Strict)

#: Back-off while a coordinator is away: dnmap's clients waited ten seconds at most.
RETRY_FIRST: Final = 0.5
RETRY_CEILING: Final = 10.0

#: Times that a message is sent which is not worth waiting for longer.
TRIES: Final = 5


class Way(Protocol):
    """To a coordinator: `https.Client`."""

    url: str

    async def post(self, path: str, body: bytes, token: str = "") -> tuple[int, bytes]: ...
    async def close(self) -> None: ...


class Gone(Exception):
    """A coordinator does not want us any more."""


class Link:
    """To one coordinator."""

    def __init__(
        self, way: Way, spool: Spool, can: Capabilities, clock: Callable[[], float], process: str = ""
    ) -> None:
        """`process`: tells us from another one with our certificate."""
        self.url = way.url
        self.optouts = NetSet()  #: who wants to be left alone, as this coordinator was told
        self.on_optouts: Callable[[], None] = lambda: None
        self.on_stopped: Callable[[], None] = lambda: None
        self._optout = ""
        self.gone = ""  #: why this coordinator is given up
        self.greeted = False
        self._greeting = asyncio.Lock()
        self.lost: set[int] = set()  #: tokens of leases that are not ours any more
        self.stopped: set[int] = set()  #: and of those that are, and are to end
        self._way, self._spool, self._can, self._clock = way, spool, can, clock
        self._process = process
        self._failures = 0
        self.wait_until = 0.0  #: loop's time before which there is no use in asking

    async def say(self, path: str, message: Strict) -> tuple[int, bytes]:
        """One message, tried once. Raises Unavailable, Gone, HostError."""
        return await self._post(path, messages.dump(message))

    async def _post(self, path: str, body: bytes, token: str = "") -> tuple[int, bytes]:
        status, answer = await self._way.post(path, body, token)
        if status in (401, 403, 426):
            raise Gone(why(answer))
        if status >= 500:
            raise Unavailable(f"{self.url}: {status} {why(answer)}")
        self._failures = 0
        return status, answer

    async def insist(self, path: str, message: Strict) -> tuple[int, bytes]:
        """The same message until it is answered, a few times. Raises as `say`."""
        for _ in range(TRIES - 1):
            try:
                return await self.say(path, message)
            except Unavailable as error:
                await asyncio.sleep(self.away(error))
        return await self.say(path, message)

    async def hello(self) -> None:
        """Greet it, once: a second greeting would give back what came after the first. Raises as `say`."""
        async with self._greeting:
            if not self.greeted:
                await self._greet()

    async def _greet(self) -> None:
        holds = await self._spool.tokens(self.url)
        began = self._clock()
        hello = messages.Hello(
            protocol=PROTOCOL, capabilities=self._can, holds=holds, clock=began, process=self._process
        )
        status, body = await self.say("/v1/hello", hello)
        under_way = self._clock() - began  # for so long, at most, our time was on its way
        if status != 200:
            raise Gone(why(body))
        welcome = heard(self.url, messages.Welcome, body)
        await self._heed(welcome.optout)
        self.greeted = True
        log.info("%s: version %s, gives slices back after %.0f s", self.url, welcome.version, welcome.timeout)
        if abs(welcome.skew) > SKEW + under_way:
            log.warning("%s: our clock is %+.1f s off its own", self.url, welcome.skew)

    async def lease(self, without: Sequence[str] = ()) -> Slice | float:
        """A slice, of none of the scans `without`, or seconds to wait. Raises as `say`."""
        if not self.greeted:
            await self.hello()
        ask = Ask(protocol=PROTOCOL, process=self._process, without=tuple(without[:MAX_WITHOUT]))
        status, body = await self.say("/v1/lease", ask)
        if status == 409:
            self.greeted = False
            return 0.0
        if status != 200:
            raise Unavailable(f"{self.url}: {status} {why(body)}")
        lease = heard(self.url, messages.Lease, body)
        await self._heed(lease.optout)
        return lease.slice if lease.slice is not None else max(lease.wait, RETRY_FIRST)

    async def upload(self) -> None:
        """Hand over what is in the spool, for ever. Raises Gone."""
        while True:
            item = await self._spool.wait(self.url)
            try:
                if not self.greeted:
                    await self.hello()
                await self._hand_over(item)
            except Unavailable as error:
                await asyncio.sleep(self.away(error))

    async def _hand_over(self, item: Item) -> None:
        if item.kind == "results":
            status, body = await self._post("/v1/results", item.body, str(item.token))
        else:
            status, body = await self._post("/v1/progress", item.body)
        if status == 200:
            await self._spool.done(item)
            order = heard(self.url, Order, body)
            await self._heed(order.optout)
            if order.stop:
                log.info("%s: slice %d: told to stop: %s", self.url, item.token, order.reason)
                self.stopped.add(item.token)
                self.on_stopped()
            return
        log.warning("%s: slice %d is not ours any more: %s", self.url, item.token, why(body))
        self.lost.add(item.token)
        await self._spool.drop(self.url, item.token)

    async def _heed(self, version: str) -> None:
        """Somebody wants to be left alone, or no longer: hear who, before anything else."""
        if version == self._optout:
            return
        status, body = await self.say("/v1/optout", Order())
        if status == 200:
            told = heard(self.url, messages.Optouts, body)
            try:
                self.optouts, self._optout = netset(told.networks, "optout"), told.version
            except ListError as error:
                raise Unavailable(f"{self.url} speaks nonsense: {error}") from None
            log.info("%s: %d networks want to be left alone", self.url, len(told.networks))
            self.on_optouts()

    def away(self, error: Unavailable) -> float:
        """It was out of reach once more: seconds until the next try."""
        wait = backoff(self._failures, RETRY_FIRST, RETRY_CEILING)
        if not self._failures:
            log.warning("%s is out of reach: %s; next try in %.1f s", self.url, error, wait)
        self._failures += 1
        return wait

    async def close(self) -> None:
        await self._way.close()


def heard(url: str, kind: type[M], body: bytes) -> M:
    """What a coordinator said. Raises Unavailable: it may speak sense another time, and we go on without it."""
    try:
        return messages.parse(kind, body)
    except ValueError as error:
        raise Unavailable(f"{url} speaks nonsense: {error}") from None


def why(body: bytes) -> str:
    """Why it refused."""
    try:
        return messages.parse(messages.Problem, body).error
    except ValueError:
        return body[:200].decode(errors="replace")


async def enrol(way: Way, token: str, request: bytes) -> messages.Enrolled:
    """Spend a one-time token. Raises UsageError for one that is not taken, Unavailable, HostError."""
    asked = messages.Enrol(protocol=PROTOCOL, token=token, request=request.decode())
    status, body = await way.post("/v1/enrol", messages.dump(asked))
    if status >= 500:
        raise Unavailable(f"{way.url}: {why(body)}")
    if status != 200:
        raise UsageError("--token", None, why(body))
    return heard(way.url, messages.Enrolled, body)
