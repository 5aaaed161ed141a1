"""Standing orders as a process hears of them: from files of its host and from the topic of its log.

    files, topics -> one Fold each -> Standing -> whoever listens (policies, runners, a scan)

Files are looked at every LOOK seconds, topics are read as they grow. What one way says holds whatever the others say,
so an order is lifted on each way on which it was given. A way that cannot be read keeps what it said last: that is
logged once, and tried again. At the start everything that stands is read before anything is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from stages.core.bus.base import Broadcast
from stages.core.errors import HostError, LonglineError
from stages.core.metrics import Metrics
from stages.core.orders import MAX_ORDER, MAX_ORDERS, Fold, Order, Orders, Standing
from stages.core.pacing import backoff
from stages.core.reload import Signature, signature

log = logging.getLogger("longline.core.heed")

#: Seconds between two looks at a file, and the longest wait for more of a topic: a fifth of what is promised.
LOOK: Final = 1.0

#: Seconds until a topic that could not be read is tried again, at first and at most: within what is promised.
RETRY_FIRST: Final = 0.2
RETRY_CEILING: Final = 2.0

#: Bytes of a file of orders.
MAX_FILE: Final = MAX_ORDERS * 1024 + MAX_ORDER

#: Orders of all processes of this host, which root gives; and of a user's own, below the folder of his state.
OF_HOST: Final = "/var/lib/longline/orders.jsonl"
OF_USER: Final = "longline/orders.jsonl"


#: Names another file, as `stages.core.settings.OrdersSettings` has it.
VARIABLE: Final = "LONGLINE_ORDERS_FILE"


def files_of_host(file: str | None) -> list[str]:
    """The files to watch: `file`, if there is one, else that of the host and that of the user. A home into which this
    user may not look is another's (of who has dropped to this one), and so are the orders there."""
    if file is not None:
        return [file]
    try:
        os.stat(_of_user())
    except PermissionError:
        return [OF_HOST]
    except OSError:
        pass  # it is not there yet
    return [OF_HOST, _of_user()]


def file_to_write(file: str | None) -> str:
    """The file in which this user gives orders."""
    if file is not None:
        return file
    return OF_HOST if os.geteuid() == 0 else _of_user()


def _of_user() -> str:
    """XDG Base Directory Specification: $XDG_STATE_HOME."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, OF_USER)


def read_file(file: str | Path) -> Fold:
    """What a file says; one that is not there says nothing. Blocks. Raises HostError: it cannot be read."""
    fold = Fold()
    try:
        with open(file, "rb") as lines:
            if os.fstat(lines.fileno()).st_size > MAX_FILE:
                raise HostError(f"{file}: larger than orders may be ({MAX_FILE} bytes)")
            _told(str(file), fold.take(line for line in lines.read(MAX_FILE).split(b"\n") if line.strip()))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise HostError(f"{file}: {error.strerror}") from None
    return fold


def _told(where: str, wrong: Sequence[str]) -> None:
    if wrong:
        log.error("%s: %d lines are no orders and are left out, first: %s", where, len(wrong), wrong[0])


class Heed(Orders):
    """All ways of one process. `start` it, and `listen`."""

    def __init__(
        self,
        files: Sequence[str],
        topics: Sequence[tuple[str, Callable[[], Broadcast]]] = (),
        metrics: Metrics | None = None,
    ) -> None:
        """`topics`: (what it is called in messages, what makes a reader of it)."""
        super().__init__(Standing(known=False))
        self._files = tuple(files)
        self._topics = tuple(topics)
        self._said: dict[str, tuple[Order, ...]] = {}
        self._seen: dict[str, Signature] = {}
        self._turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._known = False
        if metrics is not None:
            metrics.gauge(
                "longline_orders_standing", "Standing orders to stop", lambda: float(len(self.standing.stops))
            )

    async def start(self) -> None:
        """Read all that stands now, however long a log may be out of reach, and go on hearing. Raises HostError."""
        for file in self._files:
            self._seen[file] = await asyncio.to_thread(signature, file)
            await self._say(file, await asyncio.to_thread(read_file, file))
        caught_up = []
        for name, make in self._topics:
            caught_up.append(asyncio.Event())
            self._tasks.append(asyncio.create_task(self._follow(name, make, caught_up[-1]), name=f"orders {name}"))
        for event, task in zip(caught_up, list(self._tasks), strict=True):
            waiting = asyncio.create_task(event.wait())
            await asyncio.wait((waiting, task), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done():
                task.result()
        self._known = True
        await self._say("", Fold())
        if self._files:
            self._tasks.append(asyncio.create_task(self._watch(), name="orders of this host"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self) -> None:
        failing: set[str] = set()
        while True:
            await asyncio.sleep(LOOK)
            for file in self._files:
                seen = await asyncio.to_thread(signature, file)
                if seen == self._seen[file]:
                    continue
                try:
                    fold = await asyncio.to_thread(read_file, file)
                except Exception as error:  # whatever it is, the watch goes on: an order must be heard
                    if file not in failing:
                        log.error("orders cannot be read, those that stood still stand: %s", error)
                    failing.add(file)
                    continue
                failing.discard(file)
                self._seen[file] = seen
                await self._say(file, fold)

    async def _follow(self, name: str, make: Callable[[], Broadcast], caught_up: asyncio.Event) -> None:
        """Read a topic for ever. Raises HostError before it is caught up, when trying again cannot help."""
        failures = 0
        while True:
            reader, fold = make(), Fold()
            try:
                await reader.start()
                while True:
                    chunks = await reader.poll(LOOK if reader.caught_up else 0.0)
                    _told(name, fold.take(line for chunk in chunks for line in chunk.lines))
                    if reader.caught_up and (chunks or failures or not caught_up.is_set()):
                        await self._say(name, fold)
                        failures = 0
                        caught_up.set()
                    elif not chunks and not reader.caught_up:
                        await asyncio.sleep(0.01)
            except Exception as error:  # whatever it is, the watch goes on: an order must be heard
                ours = isinstance(error, LonglineError)
                if isinstance(error, LonglineError) and not error.retry and not caught_up.is_set():
                    raise
                if not failures:
                    trace = None if ours else error
                    log.warning("orders of %s cannot be read, what stood still stands: %s", name, error, exc_info=trace)
                failures += 1
            finally:
                await reader.close()
            await asyncio.sleep(backoff(failures - 1, RETRY_FIRST, RETRY_CEILING))

    async def _say(self, way: str, fold: Fold) -> None:
        async with self._turn:
            if self._said.get(way, ()) == fold.standing and self.standing.known == self._known:
                return
            self._said[way] = fold.standing
            standing = await asyncio.to_thread(Standing.of, list(self._said.values()))
            self._change(replace(standing, known=self._known))

    def _change(self, standing: Standing) -> None:
        before = self.standing.stops
        for order in standing.stops:
            if order not in before:
                log.warning("an order stands: %s", order.text())
        for order in before:
            if order not in standing.stops:
                log.warning("an order is lifted: stop %s", order.name)
        self.tell(standing)


@asynccontextmanager
async def heeding(heed: Heed) -> AsyncIterator[Heed]:
    """While the block lasts; all that stands is known as it begins."""
    try:
        await heed.start()
        yield heed
    finally:
        await heed.close()
