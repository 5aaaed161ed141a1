from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from stages.net.poller import ERR, HUP, IN, OUT, RDHUP, EpollPoller, LoopPoller, Poller, open_poller

Maker = Callable[[asyncio.AbstractEventLoop, Callable[[list[tuple[int, int]]], None]], Poller]


class Seen:
    """Events by descriptor."""

    def __init__(self) -> None:
        self.bits: dict[int, int] = {}
        self.changed = asyncio.Event()

    def __call__(self, events: list[tuple[int, int]]) -> None:
        for fd, bits in events:
            self.bits[fd] = self.bits.get(fd, 0) | bits
        self.changed.set()

    async def until(self, fd: int, bits: int) -> None:
        async with asyncio.timeout(5):
            while self.bits.get(fd, 0) & bits != bits:
                self.changed.clear()
                await self.changed.wait()


def fill(sock: socket.socket) -> None:
    """Send until there is no room."""
    with suppress(BlockingIOError):
        while True:
            sock.send(bytes(65_536))


def empty(sock: socket.socket) -> None:
    """Read until there is nothing."""
    with suppress(BlockingIOError):
        while True:
            sock.recv(65_536)


@pytest.fixture(params=[EpollPoller, LoopPoller])
def make_poller(request: pytest.FixtureRequest) -> Maker:
    if request.param is EpollPoller and not hasattr(select, "epoll"):
        pytest.skip("no epoll here")
    return request.param


async def test_writing_then_reading_is_told(make_poller: Maker) -> None:
    seen = Seen()
    poller = make_poller(asyncio.get_running_loop(), seen)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        poller.add(ours.fileno())
        await seen.until(ours.fileno(), OUT)
        assert seen.bits == {ours.fileno(): OUT}  # and nothing to read
        poller.want_write(ours.fileno(), False)
        theirs.send(b"x")
        await seen.until(ours.fileno(), IN)
        poller.want_write(ours.fileno(), True)
        poller.remove(ours.fileno())
    poller.close()
    poller.close()


async def test_writing_is_told_again_when_there_is_room_again(make_poller: Maker) -> None:
    seen = Seen()
    poller = make_poller(asyncio.get_running_loop(), seen)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        fd = ours.fileno()
        poller.add(fd)
        await seen.until(fd, OUT)
        fill(ours)
        poller.want_write(fd, True)
        seen.bits.clear()
        empty(theirs)
        await seen.until(fd, OUT)
        assert ours.send(b"x") == 1
        poller.remove(fd)
    poller.close()


async def test_epoll_tells_the_end_of_the_other_side() -> None:
    seen = Seen()
    poller = EpollPoller(asyncio.get_running_loop(), seen)
    ours, theirs = socket.socketpair()
    with ours:
        poller.add(ours.fileno())
        theirs.close()
        await seen.until(ours.fileno(), RDHUP)
        assert poller.tells_errors
    poller.close()


async def test_after_remove_nothing_is_told(make_poller: Maker) -> None:
    seen = Seen()
    poller = make_poller(asyncio.get_running_loop(), seen)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller.add(ours.fileno())
        poller.remove(ours.fileno())
        ours.close()
        theirs.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not seen.bits.get(ours.fileno(), 0) & (ERR | HUP)
    poller.close()


async def test_the_best_poller_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.delattr(select, "epoll", raising=False)
    poller = open_poller(loop, Seen())
    assert isinstance(poller, LoopPoller)
    poller.close()
    monkeypatch.undo()
    if hasattr(select, "epoll"):
        poller = open_poller(loop, Seen())
        assert isinstance(poller, EpollPoller)
        poller.close()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll here")
async def test_what_is_ready_comes_in_slices() -> None:
    """So that handlers that compute do not hold the loop: the rest comes in its next turns."""
    batches: list[list[tuple[int, int]]] = []
    poller = open_poller(asyncio.get_running_loop(), batches.append, max_events=2)
    pairs = [socket.socketpair() for _ in range(7)]
    try:
        for ours, _ in pairs:
            poller.add(ours.fileno())
        async with asyncio.timeout(5):
            while sum(map(len, batches)) < len(pairs):
                await asyncio.sleep(0)
        assert {len(batch) for batch in batches} <= {0, 1, 2}
        assert {fd for batch in batches for fd, _ in batch} == {ours.fileno() for ours, _ in pairs}
    finally:
        poller.close()
        for pair in pairs:
            for sock in pair:
                sock.close()


# -- gathering ---------------------------------------------------------------------------------------------------------


class _Clock:
    """The parts of a loop that a poller uses; time is in hand."""

    def __init__(self) -> None:
        self.watched: dict[int, Any] = {}
        self.timers: list[tuple[float, Any]] = []

    def add_reader(self, fd: int, callback: Any) -> None:
        self.watched[fd] = callback

    def remove_reader(self, fd: int) -> None:
        self.watched.pop(fd, None)

    def call_later(self, seconds: float, callback: Any) -> Any:
        self.timers.append((seconds, callback))
        return asyncio.TimerHandle(0.0, callback, (), self)  # type: ignore[arg-type]

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: Any) -> None:
        self.timers.clear()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="Linux only")
def test_busy_sockets_are_looked_at_now_and_then_and_quiet_ones_wake_the_loop() -> None:
    loop = _Clock()
    seen: list[list[tuple[int, int]]] = []
    poller = EpollPoller(loop, seen.append, max_events=2, gather=0.5)  # type: ignore[arg-type]
    (epoll,) = loop.watched
    pairs = [socket.socketpair() for _ in range(3)]
    try:
        for one, _ in pairs:
            poller.add(one.fileno())
        loop.watched[epoll]()  # all three can be written to; two are told
        assert ([len(events) for events in seen], loop.watched) == ([2], {})
        assert [seconds for seconds, _ in loop.timers] == [0.0], "there is more already"
        loop.timers.pop()[1]()
        assert [len(events) for events in seen] == [2, 1]
        assert [seconds for seconds, _ in loop.timers] == [0.5]
        pairs[0][1].send(b"x")
        pairs[1][1].send(b"x")
        loop.timers.pop()[1]()
        assert [len(events) for events in seen] == [2, 1, 2], "what came meanwhile comes in one list"
        loop.timers.pop()[1]()
        assert (list(loop.watched), loop.timers) == ([epoll], []), "quiet: the loop is woken again"
        pairs[2][1].send(b"x")
        loop.watched[epoll]()
        assert (loop.watched, len(loop.timers)) == ({}, 1)
        poller.close()
        assert (loop.watched, loop.timers) == ({}, []), "nothing is left behind"
    finally:
        for one, other in pairs:
            one.close()
            other.close()
