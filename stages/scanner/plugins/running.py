"""How calls reach plugins: one after the other, in one thread of their own.

Results come as to any destination: the writer waits until every plugin has seen a batch. What was sent, and progress,
are looked at by the watch a few times a second; while a plugin is busy the next call waits, and tells more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from stages.core.errors import HostError
from stages.scanner.plugins.base import Plugin, Progress, Sent
from stages.scanner.rows import Answer
from stages.scanner.spec import ScanSpec
from stages.scanner.summary import Summary

#: Seconds between two calls of `on_progress`.
PROGRESS_SECONDS: Final = 1.0
#: Seconds between two calls of `on_sent`: few enough to cost nothing, many enough to follow.
SENT_SECONDS: Final = 0.25

T = TypeVar("T")


class PluginFailed(HostError):
    """A plugin raised: it ends the scan."""

    def __init__(self, plugin: Plugin, method: str, error: BaseException) -> None:
        super().__init__(f"plugin {type(plugin).__qualname__}: {method}: {type(error).__name__}: {error}")


class Plugins:
    """Those of one scan: a destination of results (`stages.scanner.destination.Destination`), and what the watch looks
    at. One loop's."""

    def __init__(self, plugins: Sequence[Plugin], targets: Callable[[int, int], Any]) -> None:
        """`targets`: addresses and ports of positions [first, last)."""
        self._plugins = plugins
        self._targets = targets
        self._thread = ThreadPoolExecutor(1, "plugins")
        self._told: Future[None] | None = None
        self._sent = 0  # positions told
        self._sent_at = self._progress_at = 0.0
        self._senders = [each for each in plugins if type(each).on_sent is not Plugin.on_sent]
        self._chosen: set[int] = set()  # positions of answers to be talked to, of the batch written last

    async def begin(self, spec: ScanSpec, position: int) -> None:
        """Raises PluginFailed, as all do."""
        self._sent = position
        await self._run(lambda: self._each("on_start", lambda plugin: plugin.on_start(spec)))

    async def write(self, answers: Sequence[Answer]) -> None:
        if answers:
            self._chosen = await self._run(lambda: self._results(answers))

    def chosen(self, answers: Sequence[Answer]) -> list[Answer]:
        """Those of the batch written last that a plugin wants to be talked to."""
        return [answer for answer in answers if answer.position in self._chosen]

    async def settle(self) -> None:
        """Seen is all there is."""

    def look(self, now: float, progress: Progress) -> None:
        """Have them told what is new; called often, and returns at once."""
        if self._told is not None:
            if not self._told.done():
                return
            self._told.result()
            self._told = None
        sent = self._senders and progress.position > self._sent and now >= self._sent_at
        due = now >= self._progress_at
        if not sent and not due:
            return
        if sent:
            self._sent_at = now + SENT_SECONDS
        if due:
            self._progress_at = now + PROGRESS_SECONDS
        self._told = self._thread.submit(self._tell, progress, sent=bool(sent), due=due)

    async def end(self, position: int, summary: Summary) -> None:
        """Tell the rest, and that it is over."""
        if self._told is not None:
            await asyncio.wrap_future(self._told)
        if self._senders:
            await self._run(lambda: self._tell_sent(position))
        await self._run(lambda: self._each("on_end", lambda plugin: plugin.on_end(summary)))

    async def close(self) -> None:
        """A call that is under way is waited for."""
        await asyncio.to_thread(self._thread.shutdown)

    # -- in the plugins' thread -----------------------------------------------------------------------------------

    def _tell(self, progress: Progress, *, sent: bool, due: bool) -> None:
        if sent:
            self._tell_sent(progress.position)
        if due:
            self._each("on_progress", lambda plugin: plugin.on_progress(progress))

    def _tell_sent(self, position: int) -> None:
        if position > self._sent:
            told = Sent(self._sent, position, self._targets)
            self._sent = position
            for plugin in self._senders:
                called(plugin, "on_sent", lambda plugin: plugin.on_sent(told))

    def _results(self, answers: Sequence[Answer]) -> set[int]:
        chosen: set[int] = set()
        for plugin in self._plugins:
            wanted = called(plugin, "on_result", lambda plugin: list(plugin.on_result(answers) or ()))
            if wanted and plugin.grab is None:
                raise PluginFailed(plugin, "on_result", ValueError("returns answers, but its `grab` says nothing"))
            chosen.update(answer.position for answer in wanted)
        return chosen

    def _each(self, method: str, call: Callable[[Plugin], None]) -> None:
        for plugin in self._plugins:
            called(plugin, method, call)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._thread.submit(call))


def called(plugin: Plugin, method: str, call: Callable[[Plugin], T]) -> T:
    try:
        return call(plugin)
    except PluginFailed:
        raise
    except Exception as error:  # whatever another's code does
        raise PluginFailed(plugin, method, error) from error
