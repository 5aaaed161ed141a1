"""The servers of the simulated Internet: the scripts of `behaviours`, played on sockets.

One listening socket for each port is enough for 16.7 million addresses: the far namespace takes every address of
10.0.0.0/8 for its own (AnyIP), a socket bound to 0.0.0.0 accepts for all of them, and getsockname(2) of the connection
tells which one was dialled; the truth then says who stands there. What is not open never comes this far where `nft`
filters; where nothing filters (loopback), only open addresses are bound, and anything else is reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from typing import Final, cast

from stages.simnet import sorts
from stages.simnet.behaviours import End, Script, http_response, script
from stages.simnet.tlsanswers import Contexts, TlsAnswer
from stages.simnet.truth import Truth

#: A connection that is still there after so many seconds is reset: a descriptor is worth more than a lazy client.
MAX_SECONDS: Final = 60.0

#: After our FIN, seconds to wait for the peer's.
LINGER_SECONDS: Final = 5.0

#: Connections waiting for accept(2); the kernel cuts it to net.core.somaxconn.
BACKLOG: Final = 65535

_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Service(asyncio.Protocol):
    """One connection: asks the truth who stands at the address it came for, and plays that script."""

    __slots__ = ("_contexts", "_ended", "_left", "_peer_ended", "_script", "_timer", "_tls", "_transport", "_truth")

    def __init__(self, truth: Truth, contexts: Contexts) -> None:
        self._truth = truth
        self._contexts = contexts
        self._script: Script = Script()
        self._tls: TlsAnswer | None = None
        self._left = b""
        self._ended = False
        self._peer_ended = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        ip, port = transport.get_extra_info("sockname")[:2]
        kind = self._truth.state(ip, port)
        if not kind.open:
            self._reset()
            return
        detail = self._truth.detail(ip, port)
        self._later(MAX_SECONDS, self._reset)
        if kind.tls:
            response = http_response(ip, port, detail)
            self._tls = self._contexts.answer(kind, sorts.number(kind, detail), response)
            return
        self._script = script(kind, ip, port, detail)
        if self._script.interval:
            self._left = self._script.greeting
            self._drip()
            return
        if self._script.greeting:
            self._transport.write(self._script.greeting)
        if self._script.reply is None:
            self._end()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._tls is not None:
            out, over = self._tls.receive(data)
            if out:
                self._transport.write(out)
            if over:
                self._finish()
        elif self._script.reply is not None:
            self._transport.write(self._script.reply)
            self._end()

    def eof_received(self) -> bool:
        """The peer says no more. What we still have to say is said: an open write side is kept until then."""
        self._peer_ended = True
        return bool(self._left)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()

    def _later(self, seconds: float, call: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, call)  # type: ignore[arg-type]

    def _drip(self) -> None:
        self._transport.write(self._left[:1])
        self._left = self._left[1:]
        if self._left:
            self._later(self._script.interval, self._drip)
        else:
            self._end()

    def _end(self) -> None:
        if self._script.end is End.FIN:
            self._finish()
        elif self._script.end is End.RST:
            self._reset()

    def _finish(self) -> None:
        """A FIN behind everything written; then wait for the peer's, since closing with bytes unread sends a RST."""
        if self._ended or self._transport.is_closing():
            return
        self._ended = True
        if self._peer_ended:
            self._transport.close()
            return
        self._transport.write_eof()
        self._later(LINGER_SECONDS, self._transport.abort)

    def _reset(self) -> None:
        if self._transport.is_closing():
            return
        self._ended = True
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the peer may have been first
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self._transport.abort()


def listen(addresses: Iterable[tuple[str, int]], *, shared: bool = False) -> list[socket.socket]:
    """Listening sockets on each (address, port); `shared` lets several processes bind the same (SO_REUSEPORT)."""
    listeners: list[socket.socket] = []
    try:
        for address in addresses:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listeners.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
    except OSError:
        for sock in listeners:
            sock.close()
        raise
    return listeners


async def serve(listeners: Iterable[socket.socket], truth: Truth, contexts: Contexts) -> list[asyncio.Server]:
    """Start serving on `listeners`, which become the servers' own."""
    loop = asyncio.get_running_loop()
    return [
        await loop.create_server(lambda: Service(truth, contexts), sock=sock, backlog=BACKLOG) for sock in listeners
    ]
