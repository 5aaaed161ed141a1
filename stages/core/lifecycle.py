"""From a command to its exit code: the event loop, the signals, and what an error says.

    def main() -> int:
        return launch(lambda life: work(life))

The first SIGTERM or SIGINT asks for a drain (`Life.stopping`, callbacks of `Life.on_stop`), and the exit code is then
128 + its number. A second one leaves at once, also when the loop is stuck in Python code. A LonglineError is one line
on standard error and its own exit code; anything else is a bug and shows its traceback.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, Final

from stages.core.descriptors import fit_concurrency, raise_descriptor_limit
from stages.core.errors import Interrupted, LonglineError
from stages.core.starved import leave_if_starved, on_loop_error

__all__ = ["Life", "calm_collector", "fit_concurrency", "launch", "raise_descriptor_limit", "report"]

log = logging.getLogger("longline.core.lifecycle")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

#: Objects made until the collector looks at the young ones (`gc.set_threshold`), and how often it looks at the others.
#: Thousands of records are alive at once and none of them is in a cycle: looking after every 700 costs a fifth of the
#: CPU of a busy stage.
GC_THRESHOLDS: Final = (50_000, 20, 50)

#: A shell's code for a death by a signal is this plus its number.
SIGNAL_BASE: Final = 128

#: sysexits(3) EX_SOFTWARE: a bug of ours.
EXIT_BUG: Final = 70


class Life:
    """One run of the program: whether it should stop, and who wants to know."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.signum: int | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` when asked to stop; at once if that was before."""
        if self.stopping.is_set():
            callback()
        else:
            self._callbacks.append(callback)

    def stop(self, signum: int | None = None) -> None:
        """Ask for a drain."""
        if self.stopping.is_set():
            return
        self.signum = signum
        self.stopping.set()
        for callback in self._callbacks:
            callback()

    def _watch(self) -> None:
        """Our own handlers over the loop's: the loop's make each signal wake it (`signal.set_wakeup_fd`), also one
        that comes just before it goes to sleep; ours run without the loop's help."""
        for signum in SIGNALS:
            with suppress(NotImplementedError):  # Windows
                self._loop.add_signal_handler(signum, _nothing)
            signal.signal(signum, self._signalled)

    def _signalled(self, signum: int, _: FrameType | None) -> None:
        """Runs between two bytecodes of the main thread, whatever the loop does."""
        if self.signum is not None:
            leave_at_once(signum)
        self.signum = signum
        self._loop.call_soon_threadsafe(self._first, signum)

    def _first(self, signum: int) -> None:
        log.info("%s: finishing what is in flight; once more leaves at once", signal.Signals(signum).name)
        if self.stopping.is_set():
            return
        self.stop(signum)


def _nothing() -> None:
    return None


def leave_at_once(signum: int) -> None:
    """End the process without a word to anybody."""
    os._exit(SIGNAL_BASE + signum)


def calm_collector() -> None:
    """Let the garbage collector look less often, and never again at what the program itself is made of."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def launch(main: Callable[[Life], Coroutine[Any, Any, int | None]], *, uvloop: bool = True) -> int:
    """Run `main` in a new event loop, uvloop's where it is installed and wanted. Returns the exit code."""
    handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
    thresholds = gc.get_threshold()
    try:
        with asyncio.Runner(loop_factory=_loop_factory(uvloop)) as runner:
            return runner.run(_live(main))
    except KeyboardInterrupt:
        return SIGNAL_BASE + signal.SIGINT
    except Exception as error:
        return report(error)
    finally:
        gc.set_threshold(*thresholds)
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


async def _live(main: Callable[[Life], Coroutine[Any, Any, int | None]]) -> int:
    calm_collector()
    asyncio.get_running_loop().set_exception_handler(on_loop_error)
    life = Life()
    life._watch()
    code = await main(life)
    if life.signum is not None:
        raise Interrupted(life.signum)
    return code or 0


def report(error: Exception) -> int:
    """Say what stopped the program, on standard error; returns the exit code."""
    leave_if_starved(error)
    if isinstance(error, Interrupted):
        return SIGNAL_BASE + error.signum
    if isinstance(error, LonglineError):
        if not error.quiet:
            print(f"longline: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, ExceptionGroup):
        known, unknown = error.split(LonglineError)
        if known is not None and unknown is None:
            return max(report(each) for each in known.exceptions)
    log.critical("a bug in Longline", exc_info=error)
    return EXIT_BUG


def _loop_factory(wanted: bool) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if not wanted:
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
