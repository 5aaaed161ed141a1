"""The engine of many short connections: thousands of sockets inside one asyncio loop, handled in batches.

Theory. A banner costs the kernel six system calls (socket, setsockopt, connect, send, recv, close) and one epoll_ctl;
what can be saved is everything around them. So: bare sockets and no transports; one poller for all (`net.poller`); no
task, no future and no timer handle for a connection; what is ready is handled in one list, what has ended is handed
over in one list; deadlines stand in a coarse wheel (`net.wheel`); new connections are opened in slices, so that
neither they nor the answers wait long for one another. The clock is read once for a batch: times are exact to the
length of a batch.

States of a connection, in `Conversation.phase`:

    connect --> write <--> read --> ended
       |          |          |
       +----------+----------+--> ended: error, deadline, limit, end of file, the dialogue is content

What the kernel said is kept apart: errno as it came, the ICMP error behind it from the error queue (`net.errqueue`),
and whether a packet can have left this host at all. Bytes that came before a RST are read before it is told. An ICMP
error against an established connection is a hint and no end (RFC 1122 4.2.3.9): it is noted and the deadline decides.

A host is an address, never a name: nothing here resolves. Linux is where this is fast; any system with non-blocking
sockets and asyncio readers will do.
"""

from __future__ import annotations

import asyncio
import socket as _socketmodule
import struct
from _socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_ERROR, SO_LINGER, SOCK_STREAM, SOL_SOCKET, inet_pton
from _socket import socket as Socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from errno import ECONNRESET, EINPROGRESS, EPIPE, ETIMEDOUT
from time import monotonic, time
from typing import Any, Final, Literal

from stages.net import confine, errqueue
from stages.net.conversation import CONNECT, READ, WRITE, Conversation, Dialogue
from stages.net.poller import ERR, HUP, IN, OUT, RDHUP, OnReady, Poller, open_poller
from stages.net.wheel import Wheel

__all__ = ["Conversation", "Dialer", "Dialogue"]

#: Grain of all deadlines, seconds. Idle and first-byte waits are tenths of a second and more.
TICK: Final = 0.05

#: Connections opened in one turn of the loop: about 1 ms of work, so that answers that are ready do not wait longer.
LAUNCH_SLICE: Final = 64

#: Bytes asked of the kernel at once. A banner fits; a short read then shows that the socket is empty.
READ_BYTES: Final = 65_536

#: Seconds that a connection has whose SYN must not be repeated: the kernel does so after 1 s (RFC 6298 2.1).
ONE_SYN: Final = 0.8

_SYNCNT: Final = getattr(_socketmodule, "TCP_SYNCNT", None)
_MICROSECONDS: Final = 1_000_000
_PORTS: Final = 65_536
_NON_BLOCKING: Final = getattr(_socketmodule, "SOCK_NONBLOCK", 0)
_TYPE: Final = SOCK_STREAM | _NON_BLOCKING
_READABLE: Final = IN | RDHUP | ERR | HUP
#: struct linger: on, 0 seconds; close(2) then sends RST (socket(7)).
_LINGER_RESET: Final = struct.pack("ii", 1, 0)
#: What the kernel says when a RST has come, and when it has given up: an established connection has ended. Any other
#: errno comes from an ICMP error and is a hint.
_RESETS: Final = frozenset({ECONNRESET, EPIPE})
_FATAL: Final = _RESETS | {ETIMEDOUT}
#: ICMP hints that one send may meet before it is left to the deadline.
MAX_HINTS: Final = 4


class Dialer:
    """Dials, holds the dialogues, hands over what has ended. Belongs to one loop and its thread."""

    def __init__(
        self,
        on_end: Callable[[list[Conversation]], None],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        reset: bool = False,
        keep_data: bool = True,
        open_poller: Callable[[asyncio.AbstractEventLoop, OnReady], Poller] = open_poller,
    ) -> None:
        """`on_end` is called from the loop with batches of ended conversations, each exactly once.

        `reset`: what we close first is closed by RST, which leaves no TIME_WAIT behind and tells the peer at once
        that nobody listens; polite only where the dialogue abandons a handshake. `keep_data`: False when the
        dialogue itself keeps what it needs. Raises OSError when there is no descriptor left for the poller.
        """
        self._on_end = on_end
        self._loop = loop if loop is not None else asyncio.get_running_loop()
        self._reset = reset
        self._keep = keep_data
        self._waiting: deque[Conversation] = deque()
        self._by_fd: dict[int, Conversation] = {}
        self._ended: list[Conversation] = []
        self._wheel: Wheel[Conversation] = Wheel(TICK, monotonic())
        self._poller = open_poller(self._loop, self._on_ready)
        self._launching: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._closed = False

    # -- for the stage ------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Conversations that were dialled and not yet handed over."""
        return len(self._waiting) + len(self._by_fd) + len(self._ended)

    @property
    def open(self) -> int:
        """Sockets open now."""
        return len(self._by_fd)

    def dial(
        self,
        host: str,
        port: int,
        dialogue: Dialogue,
        tag: object,
        *,
        connect_timeout: float,
        max_bytes: int,
        syns: int | None = None,
    ) -> None:
        """Open a connection to an address; `tag` comes back in the conversation. `syns`: SYNs that may leave for it, at
        least 1; None: as many as the kernel repeats.

        Raises ValueError when `host` is no address or `port` no port, ConfinedError (an OSError) when confined.
        """
        if not 0 <= port < _PORTS:
            raise ValueError(f"port {port} is not between 0 and {_PORTS - 1}")
        try:
            inet_pton(AF_INET6 if ":" in host else AF_INET, host.partition("%")[0])
        except OSError:
            raise ValueError(f"{host!r} is not an address") from None
        confine.check_address(host)
        if self._closed:
            raise ValueError("the dialer is closed")
        if syns is not None and (syns == 1 or _SYNCNT is None):  # the option takes one repeat at least
            connect_timeout = min(connect_timeout, ONE_SYN)
        conversation = Conversation(host, port, dialogue, tag, connect_timeout, max_bytes)
        conversation._syns = syns
        self._waiting.append(conversation)
        if self._launching is None:
            self._launching = self._loop.call_soon(self._launch)

    def adopt(
        self, sock: Socket, host: str, port: int, dialogue: Dialogue, tag: object, *,
        started: int, connected: float, max_bytes: int,
    ) -> None:  # fmt: skip
        """Talk on a connection that is there: `sock`, non-blocking, is the engine's from now on, whatever is raised.

        `started` (microseconds since the epoch) is when it was begun, `connected` how many seconds that took. Times of
        the conversation, and its deadlines, go on from there: what lay between is not counted. Raises ValueError.
        """
        if self._closed:
            sock.close()
            raise ValueError("the dialer is closed")
        conversation = Conversation(host, port, dialogue, tag, 0.0, max_bytes)
        conversation.via = "adopt"
        conversation.started = started
        conversation.connected = connected
        conversation._sock = sock
        self._waiting.append(conversation)
        if self._launching is None:
            self._launching = self._loop.call_soon(self._launch)

    def abort_all(self) -> None:
        """Drop everything in flight: sockets are closed, nothing is handed over."""
        for conversation in self._waiting:
            if conversation._sock is not None:
                conversation._sock.close()
        self._waiting.clear()
        self._ended.clear()
        for conversation in list(self._by_fd.values()):
            self._drop(conversation)

    def recall(self, which: Callable[[Any], bool]) -> list[Any]:
        """Drop what has a tag for which it holds, by RST: no packet of it follows, and nothing is handed over. Returns
        the tags."""
        tags = []
        waiting, self._waiting = self._waiting, deque()
        for conversation in waiting:
            if not which(conversation.tag):
                self._waiting.append(conversation)
                continue
            if conversation._sock is not None:
                conversation._sock.setsockopt(SOL_SOCKET, SO_LINGER, _LINGER_RESET)
                conversation._sock.close()
            tags.append(conversation.tag)
        for conversation in [each for each in self._by_fd.values() if which(each.tag)]:
            self._drop(conversation, reset=True)
            tags.append(conversation.tag)
        return tags

    async def close(self) -> None:
        """Drop everything and give the descriptors back."""
        self._closed = True
        self.abort_all()
        for handle in (self._launching, self._timer):
            if handle is not None:
                handle.cancel()
        self._launching = self._timer = None
        self._poller.close()

    # -- opening ------------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        self._launching = None
        now = monotonic()
        started = int(time() * _MICROSECONDS)
        waiting = self._waiting
        for _ in range(min(len(waiting), LAUNCH_SLICE)):
            conversation = waiting.popleft()
            if conversation._sock is not None:
                self._take_up(conversation, conversation._sock, now)
                continue
            conversation.started = started
            conversation._begun = now
            self._open(conversation, now)
        if waiting:
            self._launching = self._loop.call_soon(self._launch)
        if self._timer is None and self._by_fd:
            self._timer = self._loop.call_later(TICK, self._on_tick)
        self._hand_over()

    def _open(self, conversation: Conversation, now: float) -> None:
        host = conversation.host
        family = AF_INET6 if ":" in host else AF_INET
        address: tuple[str, int] | tuple[str, int, int, int] = (host, conversation.port)
        sock: Socket | None = None
        try:
            if "%" in host:
                address = _scoped(host, conversation.port)
            sock = Socket(family, _TYPE, IPPROTO_TCP)
            if not _NON_BLOCKING:
                sock.setblocking(False)
            errqueue.enable(sock, family)
            if _SYNCNT is not None and conversation._syns is not None and conversation._syns > 1:
                sock.setsockopt(IPPROTO_TCP, _SYNCNT, conversation._syns - 1)
            error = sock.connect_ex(address)
            if error and error != EINPROGRESS:
                icmp = errqueue.drain(sock)
                conversation.failed = True
                conversation.errno = error
                conversation.icmp = None if icmp is None else icmp[1:]
                conversation.left_host = icmp is not None or error in (ETIMEDOUT, ECONNRESET)
                sock.close()
                self._finish(conversation, "us", now)
                return
            fd = sock.fileno()
            self._poller.add(fd)
        except OSError as failure:
            if sock is not None:
                sock.close()
            conversation.failed = True
            conversation.errno = failure.errno
            conversation.left_host = False
            self._finish(conversation, "us", now)
            return
        conversation._sock = sock
        conversation._fd = fd
        self._by_fd[fd] = conversation
        self._wheel.schedule(conversation, now + conversation._connect_timeout)

    def _take_up(self, conversation: Conversation, sock: Socket, now: float) -> None:
        """Begin on a socket that is connected."""
        conversation._begun = now - (conversation.connected or 0.0)
        fd = sock.fileno()
        try:
            errqueue.enable(sock, sock.family)
            self._poller.add(fd)
        except OSError as failure:
            sock.close()
            conversation._sock = None
            conversation.failed = True
            conversation.errno = failure.errno
            conversation.left_host = False
            self._finish(conversation, "us", now)
            return
        conversation._fd = fd
        self._by_fd[fd] = conversation
        try:
            self._connected(conversation, now)
        except Exception as fault:  # as in _on_ready
            conversation.fault = fault
            self._end(conversation, "us", now)

    # -- what is ready ------------------------------------------------------------------------------------------

    def _on_ready(self, events: list[tuple[int, int]]) -> None:
        now = monotonic()
        get = self._by_fd.get
        advance = self._advance
        for fd, bits in events:
            conversation = get(fd)
            if conversation is not None:
                try:
                    advance(conversation, bits, now)
                except Exception as fault:  # a dialogue's own: it ends this conversation, not the engine
                    conversation.fault = fault
                    self._end(conversation, "us", now)
        self._hand_over()

    def _advance(self, conversation: Conversation, bits: int, now: float) -> None:
        sock = conversation._sock
        if sock is None:
            return
        if conversation.phase is CONNECT:
            if bits & (ERR | HUP) or not self._poller.tells_errors:
                error = sock.getsockopt(SOL_SOCKET, SO_ERROR)
                if error in _RESETS:  # established, and reset before we looked: its bytes are still there
                    conversation.failed = True
                    conversation.errno = error
                elif error or bits & ERR:
                    icmp = errqueue.drain(sock)
                    if error or icmp is not None:
                        conversation.failed = True
                        conversation.errno = error or (icmp[0] if icmp is not None else None)
                        conversation.icmp = None if icmp is None else icmp[1:]
                        self._end(conversation, "peer", now)
                        return
            if not bits & (OUT | HUP):
                return
            self._connected(conversation, now)
            if conversation._sock is None:
                return
        elif bits & OUT and conversation._out:
            out, conversation._out = conversation._out, b""
            if not self._send(conversation, out, now):
                return
        if bits & _READABLE or conversation.failed:
            self._read(conversation, sock, bits, now)

    def _connected(self, conversation: Conversation, now: float) -> None:
        conversation.connected = now - conversation._begun
        conversation.phase = READ
        dialogue = conversation._dialogue
        introduce = getattr(dialogue, "local", None)
        if introduce is not None and conversation._sock is not None:
            host, port = conversation._sock.getsockname()[:2]
            introduce(host, port, conversation.started)
        opening = dialogue.opening()
        if not opening:
            self._poller.want_write(conversation._fd, False)
        elif not conversation.failed and not self._send(conversation, opening, now):
            return
        self._wait_until(conversation, now + dialogue.wait())

    def _wait_until(self, conversation: Conversation, deadline: float) -> None:
        last = conversation._begun + conversation._dialogue.total
        self._wheel.schedule(conversation, deadline if deadline < last else last)

    def _send(self, conversation: Conversation, data: bytes, now: float) -> bool:
        """Send, keep what does not fit. False when the conversation ended by it."""
        sock = conversation._sock
        assert sock is not None
        if conversation._out:  # what was said before has not yet left: order is kept
            conversation._out += data
            return True
        count = 0
        for _ in range(MAX_HINTS):
            try:
                count = sock.send(data)
            except BlockingIOError:
                pass
            except OSError as failure:
                if self._is_hint(conversation, sock, failure.errno):
                    continue  # it was told once and cost that call: the same bytes go with the next
                conversation.failed = True
                conversation.phase = WRITE
                self._read(conversation, sock, ERR, now)
                return False
            break
        conversation.sent += count
        if count < len(data):
            conversation._out = data[count:]
            conversation.phase = WRITE
            self._poller.want_write(conversation._fd, True)
        else:
            conversation.phase = READ
            self._poller.want_write(conversation._fd, False)
        return True

    def _is_hint(self, conversation: Conversation, sock: Socket, errno: int | None) -> bool:
        """Note what the kernel said of an established connection; True if it is the errno of an ICMP error and no end.

        Against an established connection Linux reports the errno alone and puts nothing into the queue.
        """
        conversation.errno = errno
        if errno in _FATAL:
            return False
        icmp = errqueue.drain(sock)
        if icmp is not None:
            conversation.icmp = icmp[1:]
        return True

    def _read(self, conversation: Conversation, sock: Socket, bits: int, now: float) -> None:
        """Read until the socket is empty, the peer has closed, or enough was read."""
        receive_into = sock.recv_into
        dialogue = conversation._dialogue
        try:
            while True:
                count = receive_into(self._buffer)
                if not count:
                    self._at_eof(conversation, now)
                    return
                data = bytes(self._view[:count])
                if conversation.first_byte is None:
                    conversation.first_byte = now - conversation._begun
                room = conversation._max_bytes - conversation.size
                if count > room:
                    conversation.truncated = True
                    data = data[:room]
                conversation.size += len(data)
                if self._keep and data:
                    conversation.data.append(data)
                answer = dialogue.receive(data) if data else b""
                if answer is None or conversation.truncated:
                    if answer is None and (last := dialogue.farewell()):
                        self._say_last(conversation, sock, last)
                    self._end(conversation, "us", now)
                    return
                if answer and not conversation.failed and not self._send(conversation, answer, now):
                    return
                if count < READ_BYTES:
                    if bits & (RDHUP | HUP) and not bits & ERR and not conversation.failed:
                        self._at_eof(conversation, now)
                        return
                    if not bits & ERR:
                        break
        except BlockingIOError:
            pass
        except OSError as failure:
            if not self._is_hint(conversation, sock, failure.errno):
                conversation.failed = True
        if conversation.failed:  # the socket is empty, and what ended it was told before
            self._end(conversation, "peer", now)
            return
        if bits & ERR and conversation.icmp is None:
            icmp = errqueue.drain(sock)
            if icmp is not None:
                conversation.errno = icmp[0]
                conversation.icmp = icmp[1:]
        if conversation.first_byte is not None:
            self._wait_until(conversation, now + dialogue.idle)

    def _at_eof(self, conversation: Conversation, now: float) -> None:
        sock = conversation._sock
        if sock is not None and not conversation.failed and (last := conversation._dialogue.eof()):
            self._say_last(conversation, sock, last)
        self._end(conversation, "peer", now)

    def _say_last(self, conversation: Conversation, sock: Socket, last: bytes) -> None:
        """The conversation is over, whether or not this arrives; after what has not yet left it would be nonsense."""
        if not conversation.failed and not conversation._out:
            with suppress(OSError):
                conversation.sent += sock.send(last)

    # -- deadlines ----------------------------------------------------------------------------------------------

    def _on_tick(self) -> None:
        self._timer = self._loop.call_later(TICK, self._on_tick) if self._by_fd else None
        now = monotonic()
        for conversation in self._wheel.expired(now):
            try:
                self._expire(conversation, now)
            except Exception as fault:  # as in _on_ready
                conversation.fault = fault
                self._end(conversation, "us", now)
        self._hand_over()

    def _expire(self, conversation: Conversation, now: float) -> None:
        if not self._poller.tells_errors and self._changed(conversation, now):
            return
        dialogue = conversation._dialogue
        if (
            conversation.phase is READ
            and conversation.first_byte is None
            and now < conversation._begun + dialogue.total
            and (more := dialogue.silence()) is not None
        ):
            if not more or self._send(conversation, more, now):
                self._wait_until(conversation, now + dialogue.wait())
            return
        conversation.timed_out = True
        self._end(conversation, "us", now)

    def _changed(self, conversation: Conversation, now: float) -> bool:
        """Look once more where errors are not told (uvloop stops watching a socket that has one): whether that gave
        something new."""
        size = conversation.size
        self._advance(conversation, 0 if conversation.phase is CONNECT else IN, now)
        return conversation._sock is None or conversation.size > size

    # -- the end ------------------------------------------------------------------------------------------------

    def _drop(self, conversation: Conversation, *, reset: bool = False) -> None:
        sock = conversation._sock
        if sock is None:
            return
        conversation._sock = None
        conversation._out = b""
        del self._by_fd[conversation._fd]
        self._wheel.cancel(conversation)
        self._poller.remove(conversation._fd)
        if self._reset or reset:
            sock.setsockopt(SOL_SOCKET, SO_LINGER, _LINGER_RESET)
        sock.close()

    def _end(self, conversation: Conversation, closed_by: Literal["peer", "us"], now: float) -> None:
        if conversation._sock is not None:
            self._drop(conversation)
            self._finish(conversation, closed_by, now)

    def _finish(self, conversation: Conversation, closed_by: Literal["peer", "us"], now: float) -> None:
        conversation.closed_by = closed_by
        conversation.ended = now - conversation._begun
        self._ended.append(conversation)

    def _hand_over(self) -> None:
        if self._ended:
            ended, self._ended = self._ended, []
            self._on_end(ended)


def _scoped(host: str, port: int) -> tuple[str, int, int, int]:
    """A link-local address with its zone, `fe80::1%eth0` or `fe80::1%2` (RFC 4007). Raises OSError: no such link."""
    address, _, zone = host.partition("%")
    return address, port, 0, int(zone) if zone.isdecimal() else _socketmodule.if_nametoindex(zone)
