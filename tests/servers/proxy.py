"""A TCP proxy that can be cut, or slow: `with Proxy("127.0.0.1", port) as proxy: proxy.cut(); ...; proxy.mend()`.

Cut, it closes what is open by RST and refuses (or swallows: `cut(silently=True)`) what is new, as a network does that
is down. One thread, a selector, non-blocking sockets.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Final, Self

#: Bytes taken from a socket at once; and buffered towards one that does not take them, before reading stops.
READ_BYTES: Final = 65_536
BUFFER_BYTES: Final = 1 << 20

#: While it is slow, what is read at once is as much as passes in so many seconds.
SLICE_SECONDS: Final = 0.05


@dataclass(eq=False)
class _End:
    """One side of a connection through the proxy; `out` waits to be sent to it."""

    sock: socket.socket
    peer: _End | None = None
    out: bytearray = field(default_factory=bytearray)


class Proxy:
    """Listens on 127.0.0.1:`port` (chosen by the kernel) and passes everything to `host`:`target`."""

    def __init__(self, host: str, target: int) -> None:
        self._target = (host, target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._ends: set[_End] = set()
        self._lock = threading.Lock()
        self._cut = False
        self._silently = False
        self._closing = False
        self._slow = 0.0
        self.connections = 0  #: accepted so far
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def cut(self, *, silently: bool = False) -> None:
        """Break all connections now and let no new one through."""
        self._set(cut=True, silently=silently)

    def mend(self) -> None:
        """Let connections through again, as fast as they go."""
        self._slow = 0.0
        self._set(cut=False, silently=False)

    def slow(self, bytes_per_second: float) -> None:
        """All connections together get no more through."""
        self._slow = bytes_per_second

    def _set(self, *, cut: bool, silently: bool) -> None:
        with self._lock:
            self._cut, self._silently = cut, silently
        os.write(self._wake_write, b"!")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._closing = True
        os.write(self._wake_write, b"!")
        self._thread.join()
        self._selector.close()
        self._listener.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fd == self._wake_read:
                    os.read(self._wake_read, 4096)
                elif key.data in self._ends:
                    self._pass(key.data, events)
            with self._lock:
                cut, closing = self._cut, self._closing
            if cut or closing:
                for end in list(self._ends):
                    self._drop(end)
            if closing:
                return

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        self.connections += 1
        with self._lock:
            cut, silently = self._cut, self._silently
        if cut and not silently:
            _reset(near)
            return
        end = _End(near)
        near.setblocking(False)
        self._ends.add(end)
        if cut:  # held open and unanswered until the next event closes it
            self._selector.register(near, selectors.EVENT_READ, end)
            return
        try:
            far = socket.create_connection(self._target, timeout=5)
        except OSError:
            self._ends.discard(end)
            _reset(near)
            return
        far.setblocking(False)
        other = _End(far, end)
        end.peer = other
        self._ends.add(other)
        for side in (end, other):
            self._selector.register(side.sock, selectors.EVENT_READ, side)

    def _pass(self, end: _End, events: int) -> None:
        peer = end.peer
        try:
            if events & selectors.EVENT_WRITE:
                del end.out[: end.sock.send(end.out)]
            if events & selectors.EVENT_READ:
                slow = self._slow
                data = end.sock.recv(max(1, int(slow * SLICE_SECONDS)) if slow else READ_BYTES)
                if slow:
                    time.sleep(len(data) / slow)
                if not data:
                    self._drop(end)
                    return
                if peer is not None:
                    peer.out += data
        except BlockingIOError:
            pass
        except OSError:
            self._drop(end)
            return
        for side in (end, peer):
            if side is not None and side in self._ends:
                full = side.peer is not None and len(side.peer.out) > BUFFER_BYTES
                want = (0 if full else selectors.EVENT_READ) | (selectors.EVENT_WRITE if side.out else 0)
                self._selector.modify(side.sock, want or selectors.EVENT_WRITE, side)

    def _drop(self, end: _End) -> None:
        for side in (end, end.peer):
            if side is not None and side in self._ends:
                self._ends.discard(side)
                self._selector.unregister(side.sock)
                _reset(side.sock)


def _reset(sock: socket.socket) -> None:
    """Close by RST (SO_LINGER with zero seconds, socket(7))."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
