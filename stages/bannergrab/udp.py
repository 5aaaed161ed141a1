"""The engine for datagrams: one connected socket and one asyncio-dgram stream a conversation.

Each socket is connected, so that the kernel drops what other hosts send and finds the conversation that an ICMP error
belongs to. IP_RECVERR is set before the first datagram leaves: without it the kernel tells an unconnected-for-good
port-unreachable only, and no type or code. The error queue is watched by an epoll descriptor inside the loop, edge
triggered, and emptied at once.

The conversations run in a plain asyncio loop in a thread of their own: uvloop 0.23 crashes the process when an error
stands in the error queue of its UDP handle, and Windows' default loop has no readers. Results come back to the loop
that asked, in batches. This costs a thread and a task for each conversation; datagrams are not where the speed is
(UDP probing at line rate is the scanner's).

Bounded: bytes by `max_bytes`, datagrams by MAX_DATAGRAMS, time by the dialogue.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Any, Final

import asyncio_dgram

from stages.net import confine, errqueue
from stages.net.conversation import READ, WRITE, Conversation, Dialogue

log = logging.getLogger("longline.bannergrab.udp")

#: Datagrams of one answer: amplifiers send hundreds; more say nothing new.
MAX_DATAGRAMS: Final = 256

#: Where there is no epoll, seconds between two looks for an error that came while waiting.
ERROR_POLL: Final = 0.1

#: Seconds for the thread to cancel what is in flight and end.
JOIN_TIMEOUT: Final = 5.0

_PORTS: Final = 65_536
_MICROSECONDS: Final = 1_000_000


class UdpDialer:
    """As `stages.net.dialing.Dialer`, over UDP. `connect_timeout` means nothing here."""

    def __init__(self, on_end: Callable[[list[Conversation]], None]) -> None:
        """`on_end` is called from the running loop with batches of ended conversations."""
        self._on_end = on_end
        self._home = asyncio.get_running_loop()
        self._held: set[Conversation] = set()  #: what is not among them any more is not handed over
        self._worker = _Worker(self._deliver)

    @property
    def in_flight(self) -> int:
        return len(self._held)

    @property
    def open(self) -> int:
        return len(self._held)

    def dial(
        self, host: str, port: int, dialogue: Dialogue, tag: object, *, connect_timeout: float, max_bytes: int
    ) -> None:
        """As `Dialer.dial`; raises the same."""
        if not 0 <= port < _PORTS:
            raise ValueError(f"port {port} is not between 0 and {_PORTS - 1}")
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
        except OSError:
            raise ValueError(f"{host!r} is not an address") from None
        confine.check_address(host)
        conversation = Conversation(host, port, dialogue, tag, connect_timeout, max_bytes)
        self._held.add(conversation)
        self._worker.begin(conversation)

    def _deliver(self, ended: list[Conversation]) -> None:
        """From the worker's thread."""
        with suppress(RuntimeError):  # the loop that asked is closed: nobody waits
            self._home.call_soon_threadsafe(self._hand_over, ended)

    def _hand_over(self, ended: list[Conversation]) -> None:
        batch = [conversation for conversation in ended if conversation in self._held]
        if batch:
            self._held.difference_update(batch)
            self._on_end(batch)

    def abort_all(self) -> None:
        self.recall(lambda tag: True)

    def recall(self, which: Callable[[Any], bool]) -> list[Any]:
        """As `Dialer.recall`; datagrams need no RST."""
        gone = [conversation for conversation in self._held if which(conversation.tag)]
        self._held.difference_update(gone)
        self._worker.cancel(gone)
        return [conversation.tag for conversation in gone]

    async def close(self) -> None:
        self.abort_all()
        await asyncio.to_thread(self._worker.close)


class _Worker:
    """The thread with the plain loop."""

    def __init__(self, deliver: Callable[[list[Conversation]], None]) -> None:
        self._deliver = deliver
        self._loop = asyncio.SelectorEventLoop()
        self._tasks: dict[Conversation, asyncio.Task[None]] = {}
        self._ended: list[Conversation] = []
        self._errors: _Errors | None = None
        self._thread = threading.Thread(target=self._run, name="longline udp", daemon=True)
        self._thread.start()

    # -- from any thread

    def begin(self, conversation: Conversation) -> None:
        self._loop.call_soon_threadsafe(self._begin, conversation)

    def cancel(self, conversations: Sequence[Conversation]) -> None:
        self._loop.call_soon_threadsafe(self._cancel, conversations)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(JOIN_TIMEOUT)
        if self._thread.is_alive():
            log.warning("the UDP thread did not end within %.0f s", JOIN_TIMEOUT)

    # -- in the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._errors = _Errors(self._loop) if hasattr(select, "epoll") else None
        try:
            self._loop.run_forever()
        finally:
            self._cancel(list(self._tasks))
            self._loop.run_until_complete(asyncio.gather(*self._tasks.values(), return_exceptions=True))
            if self._errors is not None:
                self._errors.close()
            # Transports close their sockets in a callback of the next turn.
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    def _begin(self, conversation: Conversation) -> None:
        task = self._loop.create_task(self._converse(conversation), name=f"udp {conversation.host}")
        self._tasks[conversation] = task

        def ended(task: asyncio.Task[None]) -> None:
            del self._tasks[conversation]
            if task.cancelled():
                return
            error = task.exception()
            if isinstance(error, Exception):
                conversation.fault = error
            if not self._ended:
                self._loop.call_soon(self._flush)
            self._ended.append(conversation)

        task.add_done_callback(ended)

    def _flush(self) -> None:
        ended, self._ended = self._ended, []
        self._deliver(ended)

    def _cancel(self, conversations: Iterable[Conversation]) -> None:
        for conversation in conversations:
            if (task := self._tasks.get(conversation)) is not None:
                task.cancel()

    async def _converse(self, conversation: Conversation) -> None:
        conversation.started = int(time() * _MICROSECONDS)
        begun = monotonic()
        conversation.phase = WRITE
        try:
            sock = _connected(conversation.host, conversation.port)
        except OSError as error:
            _fail(conversation, error.errno, None, left_host=False)
        else:
            stream = await _stream(sock)
            try:
                await self._exchange(conversation, stream, sock, begun)
            finally:
                if self._errors is not None:
                    self._errors.forget(sock.fileno())
                stream.close()
        conversation.closed_by = "us"
        conversation.ended = monotonic() - begun

    async def _exchange(
        self, conversation: Conversation, stream: asyncio_dgram.DatagramClient, sock: socket.socket, begun: float
    ) -> None:
        dialogue = conversation._dialogue
        loop = self._loop
        shift = loop.time() - monotonic()
        last = begun + dialogue.total + shift
        try:
            async with asyncio.timeout_at(last) as timer:
                if self._errors is not None:
                    self._errors.watch(sock, conversation, timer)
                introduce = getattr(dialogue, "local", None)
                if introduce is not None:
                    introduce(*sock.getsockname()[:2], conversation.started)
                opening = dialogue.opening()
                await stream.send(opening)
                _ = stream.exception  # what the call itself said; raises
                conversation.sent += len(opening)
                conversation.phase = READ
                timer.reschedule(min(last, loop.time() + dialogue.wait()))
                while len(conversation.data) < MAX_DATAGRAMS:
                    datagram = await self._receive(stream)
                    if conversation.first_byte is None:
                        conversation.first_byte = monotonic() - begun
                    if _keep(conversation, datagram):
                        return
                    answer = dialogue.receive(datagram)
                    if answer is None:
                        if last_words := dialogue.farewell():
                            await stream.send(last_words)
                            conversation.sent += len(last_words)
                        return
                    if answer:
                        await stream.send(answer)
                        conversation.sent += len(answer)
                    timer.reschedule(min(last, loop.time() + dialogue.idle))
        except TimeoutError:
            conversation.timed_out = not conversation.failed
        except OSError as error:
            # The same error may also stand in the queue, where it has its type and code.
            icmp = errqueue.drain(sock)
            if not conversation.failed:
                _fail(conversation, error.errno, icmp, left_host=conversation.phase is READ or icmp is not None)

    async def _receive(self, stream: asyncio_dgram.DatagramClient) -> bytes:
        """The next datagram. Raises OSError for an ICMP error, also where no queue tells of it."""
        if self._errors is not None:
            data, _ = await stream.recv()
            return bytes(data)
        while True:
            _ = stream.exception
            try:
                async with asyncio.timeout(ERROR_POLL):
                    data, _ = await stream.recv()
                    return bytes(data)
            except TimeoutError:
                continue


def _keep(conversation: Conversation, datagram: bytes) -> bool:
    """Keep what there is room for; whether that was too little."""
    room = conversation._max_bytes - conversation.size
    if len(datagram) > room:
        conversation.truncated = True
        datagram = datagram[:room]
    conversation.data.append(datagram)
    conversation.size += len(datagram)
    return conversation.truncated


def _fail(
    conversation: Conversation, errno: int | None, icmp: errqueue.IcmpError | None, *, left_host: bool = True
) -> None:
    """Note an error; once a datagram has come it is only a hint."""
    conversation.errno = errno
    conversation.icmp = None if icmp is None else icmp[1:]
    conversation.left_host = left_host
    conversation.failed = not conversation.data


def _connected(host: str, port: int) -> socket.socket:
    """A socket that talks to one peer. Raises OSError: no route, no descriptor, no port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address, _, zone = host.partition("%")
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        errqueue.enable(sock, family)
        if zone:
            scope = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
            sock.connect((address, port, 0, scope))
        else:
            sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


async def _stream(sock: socket.socket) -> asyncio_dgram.DatagramClient:
    try:
        return await asyncio_dgram.from_socket(sock)
    except BaseException:
        sock.close()
        raise


class _Errors:
    """The error queues of all sockets, through one epoll descriptor in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[socket.socket, Conversation, asyncio.Timeout]] = {}
        loop.add_reader(self._epoll.fileno(), self._drain)

    def watch(self, sock: socket.socket, conversation: Conversation, timer: asyncio.Timeout) -> None:
        """End the conversation, by its timer, when an ICMP error comes."""
        self._watched[sock.fileno()] = (sock, conversation, timer)
        self._epoll.register(sock.fileno(), select.EPOLLET)  # EPOLLERR is always told

    def forget(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _drain(self) -> None:
        for fd, _ in self._epoll.poll(0):
            if fd in self._watched:
                sock, conversation, timer = self._watched[fd]
                icmp = errqueue.drain(sock)
                if icmp is not None:
                    _fail(conversation, icmp.errno, icmp)
                    if conversation.failed and not timer.expired():
                        timer.reschedule(self._loop.time())

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
