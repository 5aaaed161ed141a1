"""Which of many sockets are ready, told to one asyncio loop: by an epoll descriptor inside the loop, or by the loop.

Theory. asyncio pays a Handle, a context switch of contextvars and a registration change for each event of each
socket. An epoll descriptor can itself be watched by a loop (epoll(7)): then the loop sees one descriptor, and all
ready sockets come in one list. Sockets are registered once, edge-triggered, for everything; closing removes them. So
a connection costs one epoll_ctl(2).

`gather` trades time for work: while sockets are busy the loop is not woken by each of them, but looks every few
milliseconds and finds many. A turn of the loop costs as much as some of them, whatever it finds.

Where there is no epoll (any system but Linux) `LoopPoller` has the same contract over the loop's own readers and
writers. It is level-triggered: interest in writing must be taken away when there is nothing to write, which
`want_write` tells it and which means nothing to `EpollPoller`.
"""

from __future__ import annotations

import select
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import Final, Protocol

#: Event bits, those of epoll_ctl(2), also where there is no epoll.
IN: Final = 0x001
OUT: Final = 0x004
ERR: Final = 0x008
HUP: Final = 0x010
RDHUP: Final = 0x2000

#: Sockets taken out of the epoll descriptor at once; what is left is reported again in the next turn of the loop, so
#: that other work of the loop is never held up by more than this many.
MAX_EVENTS: Final = 512

#: Called with (descriptor, event bits) of everything that is ready.
OnReady = Callable[[list[tuple[int, int]]], None]


class Poller(Protocol):
    """Watches sockets; tells what is ready through the `on_ready` it was made with."""

    #: Whether ERR, HUP and RDHUP are told. If not, a reader finds out by reading and a connector by SO_ERROR.
    tells_errors: bool

    def add(self, fd: int) -> None:
        """Watch for everything. The socket is connecting: writing is wanted."""

    def want_write(self, fd: int, wanted: bool) -> None:
        """Whether there is something to write."""

    def remove(self, fd: int) -> None:
        """Call it just before the socket is closed."""

    def close(self) -> None: ...


class EpollPoller:
    """One epoll descriptor, edge-triggered, watched by the loop. Raises OSError (EMFILE) when there is none left."""

    tells_errors = True

    def __init__(
        self, loop: AbstractEventLoop, on_ready: OnReady, max_events: int = MAX_EVENTS, gather: float = 0.0
    ) -> None:
        """`gather`: seconds between two looks while there is something to see; 0: told at once."""
        self._loop = loop
        self._on_ready = on_ready
        self._max_events = max_events
        self._gather = gather
        self._timer: TimerHandle | None = None
        self._epoll = select.epoll()
        self._mask = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
        loop.add_reader(self._epoll.fileno(), self._drain)

    def _drain(self) -> None:
        events = self._epoll.poll(0, self._max_events)
        if self._gather and events:
            if self._timer is None:
                self._loop.remove_reader(self._epoll.fileno())
            more = len(events) == self._max_events  # the rest is there already
            self._timer = self._loop.call_later(0.0 if more else self._gather, self._drain)
        elif self._timer is not None:  # it has become quiet: be woken again
            self._timer = None
            self._loop.add_reader(self._epoll.fileno(), self._drain)
        if events:
            self._on_ready(events)

    def add(self, fd: int) -> None:
        self._epoll.register(fd, self._mask)

    def want_write(self, fd: int, wanted: bool) -> None:
        pass

    def remove(self, fd: int) -> None:
        pass

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()


class LoopPoller:
    """The loop's own readers and writers, a callback a socket."""

    tells_errors = False

    def __init__(self, loop: AbstractEventLoop, on_ready: OnReady) -> None:
        self._loop = loop
        self._on_ready = on_ready
        self._writing: dict[int, bool] = {}

    def _event(self, fd: int, bits: int) -> None:
        if fd in self._writing:
            self._on_ready([(fd, bits)])

    def add(self, fd: int) -> None:
        self._writing[fd] = True
        self._loop.add_reader(fd, self._event, fd, IN)
        self._loop.add_writer(fd, self._event, fd, OUT)

    def want_write(self, fd: int, wanted: bool) -> None:
        if self._writing[fd] is wanted:
            return
        self._writing[fd] = wanted
        if wanted:
            self._loop.add_writer(fd, self._event, fd, OUT)
        else:
            self._loop.remove_writer(fd)

    def remove(self, fd: int) -> None:
        if self._writing.pop(fd):
            self._loop.remove_writer(fd)
        self._loop.remove_reader(fd)

    def close(self) -> None:
        for fd in list(self._writing):
            self.remove(fd)


def open_poller(
    loop: AbstractEventLoop, on_ready: OnReady, max_events: int = MAX_EVENTS, gather: float = 0.0
) -> Poller:
    """The best poller that this system has, with these where it can choose them. `max_events`: handled in one turn of
    the loop, fewer for dialogues that compute. `gather`: seconds, for what has the patience."""
    if hasattr(select, "epoll"):
        return EpollPoller(loop, on_ready, max_events, gather)
    return LoopPoller(loop, on_ready)
