"""Hot reload of list files: on SIGHUP, and when a file changed.

The files are looked at every `poll` seconds (device, inode, size, time of change: an editor that writes a new file and
renames it is seen as one that writes in place). A change is read at the next look that finds the files unchanged
again, so that a file which is just being written is not read in half (unless it never rests): with a look every second
a change holds within about two seconds, in any case within five. A reload that fails keeps the old lists, is logged
once, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from stages.core.errors import LonglineError
from stages.core.lists import Lists, read_lists
from stages.core.metrics import Metrics
from stages.core.netset import Resolve
from stages.core.settings import ListSettings

log = logging.getLogger("longline.core.reload")

#: Host names of a list are resolved again after so many seconds, although no file changed.
NAMES_AFTER: Final = 3600.0

#: A file that is different at every look is read all the same after so many looks: a log of addresses that grows.
PATIENCE: Final = 3

#: What tells one state of a file from another; None: it is not there.
Signature: TypeAlias = tuple[int, int, int, int] | None


def signature(file: str) -> Signature:
    """(device, inode, size, time of change in nanoseconds) of a file, or None."""
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def counted(metrics: Metrics) -> Callable[[bool], None]:
    """An `on_result` for `Reloader` that counts in `metrics`."""
    reloads = metrics.counter("longline_list_reloads", "Reloads of the address lists", "result", ("ok", "failed"))
    return lambda ok: reloads.add(1, "ok" if ok else "failed")


class Reloader:
    """Watches the list files of `settings` and hands new lists to `apply`, in the thread of the loop."""

    def __init__(
        self,
        settings: ListSettings,
        resolve: Resolve,
        apply: Callable[[Lists], None],
        *,
        on_result: Callable[[bool], None] = lambda ok: None,
        names_after: float = NAMES_AFTER,
    ) -> None:
        """Make it before the lists are read for the first time: what changes from here on is seen. `on_result` is
        called after each reload with whether it succeeded: for the metrics."""
        self._settings = settings
        self._resolve = resolve
        self._apply = apply
        self._on_result = on_result
        self._names_after = names_after
        self._files = (*settings.blocklist_file, *settings.allowlist_file)
        self._read_as = self._signatures()
        self._wanted: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._signal = False
        self._named = False
        self.reloads = 0  #: that succeeded
        self.failures = 0

    def start(self, *, named: bool = False) -> None:
        """Begin to watch; the loop must be running. `named`: the lists in force hold host names (`Lists.named`)."""
        self._named = named
        self._wanted = asyncio.Event()
        if hasattr(signal, "SIGHUP"):
            # Without files too: a SIGHUP meant for the lists must not end the process, as it does by default. Only the
            # main thread's loop may take signals; elsewhere the files are still watched.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
                self._signal = True
        if self._files:
            self._task = asyncio.create_task(self._watch(), name="list files")

    def reload(self) -> None:
        """Read all lists again, soon."""
        if self._wanted is not None:
            self._wanted.set()

    async def close(self) -> None:
        """Stop watching."""
        if self._signal:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            self._signal = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def _signatures(self) -> Sequence[Signature]:
        return [signature(file) for file in self._files]

    async def _watch(self) -> None:
        assert self._wanted is not None
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        seen = self._read_as
        different = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll):
                    await self._wanted.wait()
            asked = self._wanted.is_set()  # also what came just as the time was over
            self._wanted.clear()
            before, seen = seen, await asyncio.to_thread(self._signatures)
            different = different + 1 if seen != self._read_as else 0
            settled = different > 0 and (seen == before or different >= PATIENCE)
            stale = self._named and loop.time() - read_at >= self._names_after
            if asked or settled or stale:
                self._read_as, read_at, different = seen, loop.time(), 0
                await self._read()

    async def _read(self) -> None:
        try:
            lists = await asyncio.to_thread(read_lists, self._settings, self._resolve)
            self._apply(lists)
        except Exception as error:
            # Whatever it is, the watch goes on: without it a corrected file would never be read.
            self.failures += 1
            trace = None if isinstance(error, LonglineError) else error
            log.error("list files not reloaded, the old lists stay in force: %s", error, exc_info=trace)
            self._on_result(False)
            return
        self._named = lists.named
        self.reloads += 1
        log.info("list files reloaded: %d addresses blocked", lists.block.size)
        self._on_result(True)
