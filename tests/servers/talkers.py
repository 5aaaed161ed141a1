"""Small TCP servers with one behaviour each, on loopback addresses of their own: the other side of an engine's tests.

`Talker(handler)` listens on a free port of an address in 127.0.0.0/8 that no other talker has, and runs the handler for
each connection in its one thread. Handlers get the accepted socket, blocking, with a timeout, and close it or not: what
is still open is closed at the end.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Handler = Callable[[socket.socket], None]

#: Seconds after which a handler that waits for its client gives up: longer than any test.
PATIENCE = 20.0

_hosts = itertools.count(1)


def fresh_address() -> str:
    """An address of 127.77.0.0/16 that nobody had before in this process."""
    number = next(_hosts)
    return f"127.77.{number >> 8 & 255}.{number & 255}"


@contextmanager
def talker(
    handler: Handler, host: str | None = None, *, backlog: int = 128, port: int = 0
) -> Iterator[tuple[str, int]]:
    """(address, port) of a server that runs `handler` for each connection, one after the other."""
    address = host if host is not None else fresh_address()
    listener = socket.create_server(
        (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=backlog
    )
    accepted: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(PATIENCE)
                accepted.append(connection)
                with suppress(OSError):
                    handler(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield address, listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for connection in accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        listener.close()
        for connection in accepted:
            connection.close()


@contextmanager
def nobody(host: str | None = None) -> Iterator[tuple[str, int]]:
    """(address, port) where nothing listens: a bound socket keeps the port free of others."""
    address = host if host is not None else fresh_address()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        sock.bind((address, 0))
        yield address, sock.getsockname()[1]


@contextmanager
def full() -> Iterator[tuple[str, int]]:
    """(address, port) of a server that accepts nothing and whose backlog is full: SYNs are dropped."""
    address = fresh_address()
    with socket.create_server((address, 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((address, port))
            yield address, port
        finally:
            for filler in fillers:
                filler.close()


def say(*pieces: bytes) -> Handler:
    """Send the pieces, then close."""

    def handler(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
        connection.close()

    return handler


def hold(*pieces: bytes) -> Handler:
    """Send the pieces and keep the connection open."""

    def handler(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return handler


def answer(reply: bytes, until: bytes = b"\r\n\r\n") -> Handler:
    """Read a request up to `until`, send the reply and what was read, close."""

    def handler(connection: socket.socket) -> None:
        request = b""
        while until not in request:
            more = connection.recv(4096)
            if not more:
                break
            request += more
        connection.sendall(reply + request)
        connection.close()

    return handler


def reset(connection: socket.socket) -> None:
    """Close by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def say_then_reset(data: bytes) -> Handler:
    """Send, wait until the client acknowledged it all, close by RST."""

    def handler(connection: socket.socket) -> None:
        connection.sendall(data)
        reset(connection)

    return handler


def half_close(data: bytes) -> Handler:
    """Send, close our side only."""

    def handler(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    return handler


def drip(data: bytes, pause: threading.Event, seconds: float) -> Handler:
    """Send a byte at a time, `seconds` apart, until `pause` is set."""

    def handler(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            connection.sendall(bytes((byte,)))
            if pause.wait(seconds):
                return

    return handler


def flood(connection: socket.socket) -> None:
    """Send without end."""
    while True:
        connection.sendall(b"flood! " * 4096)
